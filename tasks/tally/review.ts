/**
 * Reviewing a tally on an authority (EO-31…EO-36): it fetches the votes by itself, checks hash and proofs, sorts out what
 * does not count, and asks its operator, showing what was found.
 */
import { createReadStream } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Knex } from 'knex';
import { z } from 'zod';
import type { HandlerContext, TaskView } from '../../lib/engine/context.ts';
import { TaskError } from '../../lib/engine/definitions.ts';
import { external, simple } from '../../lib/engine/tree.ts';
import { ConclaveError } from '../../lib/errors.ts';
import type { Json } from '../../lib/json.ts';
import { denial } from '../create-election/performer.ts';
import { PERFORMER_QUEUE } from '../election/callbacks.ts';
import { approvalInfo, describeTally } from '../election/description.ts';
import { equalDigests, niUri, parseNiUri } from '../election/hash.ts';
import { demandOrder, orderSignature } from '../election/orders.ts';
import { type ElectionRecord, lockElection, type SessionRecord, sessionsOf } from '../election/records.ts';
import type { ElectionServices } from '../election/services.ts';
import { parseTallyRequest, type TallyRequest, tallyRequestHash } from '../election/tally-request.ts';
import { demandAuthorities, demandDirector, demandElection } from '../election/trust.ts';
import { type SortedVotes, sortVotes, type VerifyBallots } from '../election/votes.ts';
import { demandMixnet, sessionProtocolInfo } from '../external/programs.ts';
import { inFolder } from './attempt.ts';
import { demandNoForgottenList, mayTallyAgain } from './decrypted-lists.ts';
import { foldersIn, reviewsFolder, type TallyFolders, tallyFolders } from './folders.ts';
import { findTally, giveUpUnfinished, insertTally, lockTally, setTallyStatus, tallied } from './records.ts';

export const reviewInput = z.object({
  request: z.record(z.string(), z.unknown()),
  request_hash: z.string(),
  tally_id: z.string().regex(/^[A-Za-z0-9_-]{1,128}$/),
  order: orderSignature,
});
export const referenceInput = z.object({
  election_id: z.union([z.string(), z.number()]),
  tally_id: z.string().regex(/^[A-Za-z0-9_-]{1,128}$/),
});
const decision = z.object({ status: z.string(), reason: z.string().max(4096).optional() });

/** Output of `review_tally`. */
export const reviewOutput = z.object({
  lists_hash: z.string().regex(/^[0-9a-f]{64}$/),
  lengths: z.array(z.int().nonnegative()),
});

export async function reviewTally(
  services: ElectionServices,
  task: TaskView<z.infer<typeof reviewInput>>,
  ctx: HandlerContext,
): Promise<void> {
  const { tally_id } = task.input;
  const request = parseTallyRequest(task.input.request);
  if (tallyRequestHash(request) !== task.input.request_hash)
    throw new TaskError('the request of the tally was changed on its way', undefined, 'disagreement');
  const election = await demandDirector(services, task, request.election_id);
  const { election_id } = request;
  const ordered = { kind: 'tally', election_id, request_hash: task.input.request_hash, tally_id } as const;
  await demandOrder(services, task, ordered, task.input.order);
  if ((await findTally(services.db, election.key, tally_id)) !== undefined) throw knownTally(tally_id);
  await demandTallyable(services, election, request);
  const sorted = await inFolder(reviewsFolder(services, election.key), async (root) => {
    const review = await reviewVotes(services, election, request, root, ctx);
    await recordReview(services, election, tally_id, request, review, root, ctx);
    return review.sorted;
  });
  const lengths = election.request.questions.map(() => sorted.accepted);
  const check = simple({
    queue: PERFORMER_QUEUE,
    action: 'check_tally_approval',
    data: { election_id: request.election_id, tally_id },
  });
  ctx.setOutput({ lists_hash: sorted.acceptedHash, lengths });
  if (services.settings.autoAccept) ctx.add(check);
  else
    ctx.add(
      external({
        label: 'approve_election_tally',
        info: approvalInfo(describeTally(request, election.request, sorted)),
        data: {
          election_id: request.election_id,
          request_hash: task.input.request_hash,
          request,
          description: describeTally(request, election.request, sorted),
          votes: {
            accepted: sorted.accepted,
            invalid: sorted.invalid,
            invalid_by_reason: sorted.invalidByReason,
            accepted_hash: sorted.acceptedHash,
          },
        } as unknown as Json,
      }),
      check,
    );
}

interface Review {
  sorted: SortedVotes;
  /** SHA-256 of each question's list, as it is mixed. */
  lists: (string | null)[];
}

async function reviewVotes(
  services: ElectionServices,
  election: ElectionRecord,
  request: TallyRequest,
  root: string,
  ctx: HandlerContext,
): Promise<Review> {
  const sessions = await sessionsOf(services.db, election.key);
  const folders = foldersIn(root);
  await fetchVotes(services, request, folders, ctx);
  const sorted = await sort(services, election, sessions, folders, ctx);
  return { sorted, lists: await beginSessions(services, election, sessions, folders, sorted, ctx) };
}

function knownTally(tallyId: string): TaskError {
  return new TaskError(`the tally ${tallyId} was reviewed already`, undefined, 'disagreement');
}

/**
 * The tally gets its row and its folder together, and only once: what lies in the folder of a tally that an operator has
 * approved is never replaced.
 */
async function recordReview(
  services: ElectionServices,
  election: ElectionRecord,
  tallyId: string,
  request: TallyRequest,
  { sorted, lists }: Review,
  reviewed: string,
  ctx: HandlerContext,
): Promise<void> {
  const transaction = await ctx.tx<Knex>();
  await lockElection(transaction, election.key);
  if ((await findTally(transaction, election.key, tallyId)) !== undefined) throw knownTally(tallyId);
  await demandTallyable({ ...services, db: transaction }, election, request, sorted.acceptedHash);
  await giveUpUnfinished(transaction, election.key, 'the director began another tally');
  await insertTally(transaction, {
    election: election.key,
    tallyId,
    request,
    votesHash: request.votes_hash,
    listsHash: sorted.acceptedHash,
    lists: lists.map((list) => ({ length: sorted.accepted, list })),
  });
  const { root } = tallyFolders(services, election.key, tallyId);
  // Of an attempt that ended before its row was there.
  await rm(root, { recursive: true, force: true });
  await mkdir(dirname(root), { recursive: true, mode: 0o700 });
  await rename(reviewed, root);
}

/**
 * EO-31: the election has its key here, and was not tallied before; tallying it again is for this authority to allow, by
 * its setting, by a reset, or by its operator, who is shown that the request asks for it. Mixing the very same list again
 * tells nothing new.
 */
export async function demandTallyable(
  services: ElectionServices,
  election: ElectionRecord,
  tallyRequest: TallyRequest,
  listsHash?: string,
): Promise<void> {
  const { key, status, request } = election;
  const { election_id: electionId } = tallyRequest;
  if (status !== 'created') throw new ConclaveError('election_not_ready', { electionId });
  demandMixnet(services, request);
  const missing = (await sessionsOf(services.db, key)).find(({ sealedShare }) => sealedShare === null);
  if (missing !== undefined)
    throw new ConclaveError('share_missing', {
      detail: `the key share of session ${missing.sessionId} is not on ${services.node.name}; restore it first`,
    });
  if (mayTallyAgain(services, tallyRequest)) return;
  const before = await tallied(services.db, key);
  const again = before.some(
    (tally) => tally.status === 'published' || (listsHash !== undefined && tally.listsHash !== listsHash),
  );
  if (again) throw new ConclaveError('already_tallied', { electionId });
  if (listsHash !== undefined) await demandNoForgottenList(services, election, tallyRequest, listsHash);
}

/** EO-32. */
async function fetchVotes(
  services: ElectionServices,
  request: TallyRequest,
  folders: TallyFolders,
  ctx: HandlerContext,
): Promise<void> {
  ctx.progress({ step: 'downloading the votes', done: 0, total: 1 });
  const { votes_url: url } = request;
  const { sha256 } = await services.download(url, folders.votes, {
    maxBytes: services.settings.maxVotesBytes,
    signal: ctx.signal,
  });
  const expected = parseNiUri(request.votes_hash)!;
  if (equalDigests(sha256, expected)) return;
  throw new ConclaveError('votes_hash_mismatch', {
    url,
    actual: niUri(sha256),
    expected: request.votes_hash,
  });
}

async function sort(
  services: ElectionServices,
  election: ElectionRecord,
  sessions: readonly SessionRecord[],
  folders: TallyFolders,
  ctx: HandlerContext,
): Promise<SortedVotes> {
  const lists = sessions.map(({ sessionId }) => folders.session(sessionId));
  for (const { root } of lists) await mkdir(root, { recursive: true, mode: 0o700 });
  return sortVotes({
    votes: createReadStream(folders.votes),
    group: election.group,
    sessions: sessions.map(({ sessionId }, index) => ({
      id: sessionId,
      ciphertextsPath: lists[index]!.ciphertexts,
    })),
    invalidPath: folders.invalidVotes,
    ballotsPath: folders.ballots,
    spoolPath: folders.spool,
    verify: ballotVerifier(services, election, sessions, ctx),
    signal: ctx.signal,
  });
}

function ballotVerifier(
  services: ElectionServices,
  election: ElectionRecord,
  sessions: readonly SessionRecord[],
  ctx: HandlerContext,
): VerifyBallots {
  const parameters = sessions.map(({ sessionId, publicKey }) => ({
    electionId: election.key,
    sessionId,
    publicKey: publicKey!,
  }));
  let checked = 0;
  return async (ballots) => {
    const { refusals } = await services.mixnet.run(
      'verifyBallots',
      {
        sessions: parameters,
        ballots: ballots.map(({ ballot }) => ballot),
        rules: { acceptOriginalChallenge: election.group !== 'P-256' },
      },
      { signal: ctx.signal },
    );
    checked += ballots.length;
    ctx.progress({ step: 'checking ballots', done: checked });
    return refusals.map((refusal) => refusal?.reason ?? null);
  };
}

/** The proof directory of each session begins with the list of ciphertexts; without any there is nothing to prove. */
async function beginSessions(
  services: ElectionServices,
  election: ElectionRecord,
  sessions: readonly SessionRecord[],
  folders: TallyFolders,
  sorted: SortedVotes,
  ctx: HandlerContext,
): Promise<(string | null)[]> {
  if (sorted.accepted === 0) return sessions.map(() => null);
  const authorities = await demandAuthorities(services, election);
  const lists: string[] = [];
  for (const { sessionId, publicKey, polynomial } of sessions) {
    const { ciphertexts, proof } = folders.session(sessionId);
    const { listHash } = await services.mixnet.run(
      'beginSession',
      {
        protInfo: await sessionProtocolInfo(services, election, authorities, sessionId),
        directory: proof,
        publicKey: publicKey!,
        // Verificatum's programs keep the polynomial until the proof; then of this directory only the list is used.
        ...(polynomial === null ? { type: 'shuffling' } : { type: 'mixing', polynomial }),
        ciphertexts: { path: ciphertexts, format: 'json' },
      },
      { signal: ctx.signal },
    );
    lists.push(listHash);
  }
  return lists;
}

/** EO-36: nothing but `{"status": "accepted"}` is an approval, and it is of this tally alone (1B.6). */
export async function checkTallyApproval(
  services: ElectionServices,
  { input }: TaskView<z.infer<typeof referenceInput>>,
  ctx: HandlerContext,
): Promise<void> {
  const election = await demandElection(services, input.election_id);
  const tally = await findTally(services.db, election.key, input.tally_id);
  if (tally === undefined) throw new TaskError(`there is no tally ${input.tally_id}`);
  const approval = await ctx.previous();
  if (approval !== undefined) {
    const given = decision.safeParse(approval.output).data;
    if (given?.status !== 'accepted') {
      const reason = given?.reason ?? 'no reason was given';
      if (tally.status === 'requested') await setTallyStatus(services.db, tally, 'denied', { reason });
      throw denial(services.node.name, reason);
    }
  }
  const transaction = await ctx.tx<Knex>();
  const { status, reason } = await lockTally(transaction, tally);
  if (status !== 'requested')
    throw new TaskError(
      `the tally ${tally.tallyId} was given up before it was approved: ${reason ?? status}`,
      { authority: services.node.name },
      'task_not_accepted',
    );
  await setTallyStatus(transaction, tally, 'approved');
}
