/**
 * Reviewing a tally on an authority (EO-31…EO-36): it fetches the votes by itself, checks hash and proofs, sorts out what
 * does not count, and asks its operator, showing what was found.
 */
import { createReadStream } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import type { Knex } from 'knex';
import { z } from 'zod';
import type { HandlerContext, TaskView } from '../../lib/engine/context.ts';
import { TaskError } from '../../lib/engine/definitions.ts';
import type { Json } from '../../lib/engine/model.ts';
import { external, simple } from '../../lib/engine/tree.ts';
import { ConclaveError } from '../../lib/errors.ts';
import { denial } from '../create-election/performer.ts';
import { PERFORMER_QUEUE } from '../election/callbacks.ts';
import { describeTally } from '../election/description.ts';
import { equalDigests, niUri, parseNiUri } from '../election/hash.ts';
import { type ElectionRecord, type SessionRecord, sessionsOf } from '../election/records.ts';
import type { ElectionServices } from '../election/services.ts';
import { protocolInfoOf } from '../election/session-parameters.ts';
import { parseTallyRequest, type TallyRequest, tallyRequestHash } from '../election/tally-request.ts';
import { demandAuthorities, demandDirector, demandElection } from '../election/trust.ts';
import { type SortedVotes, sortVotes, type VerifyBallots } from '../election/votes.ts';
import { type TallyFolders, tallyFolders } from './folders.ts';
import { findTally, giveUpUnfinished, insertTally, setTallyStatus, talliesOf } from './records.ts';

export const reviewInput = z.object({
  request: z.record(z.string(), z.unknown()),
  request_hash: z.string(),
  tally_id: z.string().regex(/^[A-Za-z0-9_-]{1,128}$/),
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
  const sessions = await sessionsOf(services.db, election.key);
  await demandTallyable(services, election, sessions, request);
  const folders = tallyFolders(services, election.key, tally_id);
  await rm(folders.root, { recursive: true, force: true });
  await mkdir(folders.root, { recursive: true, mode: 0o700 });
  await fetchVotes(services, request, folders, ctx);
  const sorted = await sort(services, election, sessions, folders, ctx);
  await beginSessions(services, election, sessions, folders, sorted, ctx);

  const transaction = await ctx.tx<Knex>();
  await giveUpUnfinished(transaction, election.key, 'the director began another tally');
  const lengths = sessions.map(() => sorted.accepted);
  await insertTally(transaction, {
    election: election.key,
    tallyId: tally_id,
    request,
    votesHash: request.votes_hash,
    listsHash: sorted.acceptedHash,
    lengths,
  });
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
        info: describeTally(request, election.request, sorted),
        data: {
          election_id: request.election_id,
          request_hash: task.input.request_hash,
          request,
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

/** EO-31: the election has its key here, and was not tallied before unless that is allowed. */
async function demandTallyable(
  services: ElectionServices,
  election: ElectionRecord,
  sessions: readonly SessionRecord[],
  request: TallyRequest,
): Promise<void> {
  const electionId = request.election_id;
  if (election.status !== 'created') throw new ConclaveError('election_not_ready', { electionId });
  const missing = sessions.find(({ sealedShare }) => sealedShare === null);
  if (missing !== undefined)
    throw new ConclaveError('share_missing', {
      detail: `the key share of session ${missing.sessionId} is not on ${services.node.name}; restore it first`,
    });
  const tallied = (await talliesOf(services.db, election.key)).some(({ status }) => status === 'published');
  if (tallied && !services.settings.multipleTallies && !request.force)
    throw new ConclaveError('already_tallied', { electionId });
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
): Promise<void> {
  if (sorted.accepted === 0) return;
  const authorities = await demandAuthorities(services, election);
  for (const { sessionId, publicKey, polynomial } of sessions) {
    const { ciphertexts, proof } = folders.session(sessionId);
    await services.mixnet.run(
      'beginSession',
      {
        protInfo: protocolInfoOf(election, authorities, sessionId),
        directory: proof,
        type: 'mixing',
        publicKey: publicKey!,
        polynomial: polynomial!,
        ciphertexts: { path: ciphertexts, format: 'json' },
      },
      { signal: ctx.signal },
    );
  }
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
      await setTallyStatus(services.db, tally, 'denied', { reason });
      throw denial(services.node.name, reason);
    }
  }
  await setTallyStatus(await ctx.tx<Knex>(), tally, 'approved');
}
