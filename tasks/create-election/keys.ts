/**
 * The key generation of a session on an authority (D46): deal and commit while reserving; open when all commitments are
 * known; check, and take the share.
 *
 *     reserve              dealing made and stored, its hash is the reservation's data
 *     generate_public_key  the hashes of all are stored; only then the dealing is given away
 *     confirm_public_key   every dealing against its hash; own share opened; the joint key's hash is the answer
 *
 * A dealing is opened against one list of hashes only, for ever: a director that begins anew with another list, having
 * seen ours, gets nothing.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import type { HandlerContext, TaskView } from '../../lib/engine/context.ts';
import { TaskError } from '../../lib/engine/definitions.ts';
import type { Json } from '../../lib/json.ts';
import type { PartyKey } from '../../lib/mixnet/keys/party-key.ts';
import { canonicalJson } from '../election/canonical.ts';
import {
  dealingContext,
  openJson,
  openPartySecret,
  sealJson,
  shareContext,
} from '../election/party-secret.ts';
import {
  authoritiesOf,
  type ElectionRecord,
  lockElection,
  lockSession,
  type SessionRecord,
  saveCommitments,
  saveDealing,
  savePartyKeys,
  saveSessionKey,
  sessionsOf,
} from '../election/records.ts';
import type { ElectionServices } from '../election/services.ts';
import { keyContextOf } from '../election/session-parameters.ts';
import { demandDirector } from '../election/trust.ts';
import { externalGeneration, generateExternalKey, reserveExternalKey } from '../external/creation.ts';
import { partyKeyOutput, verifiedPartyKeys } from './party-keys.ts';

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const generation = z.object({
  election_id: z.union([z.string(), z.number()]),
  session_id: z.string().max(128),
  party_keys: z.array(partyKeyOutput).min(1).max(24),
  dealing_commitments: z.array(hash).max(24).optional(),
});
const confirmation = z.object({
  election_id: z.union([z.string(), z.number()]),
  session_id: z.string().max(128),
  dealings: z.array(z.record(z.string(), z.unknown())).min(1).max(24),
});

/** By our own mix-net, or by Verificatum's programs (D44). */
const anyGeneration = z.union([generation, externalGeneration]);
type Generation = z.infer<typeof generation>;
type AnyGeneration = z.infer<typeof anyGeneration>;

interface StoredDealing {
  dealing: { [key: string]: Json };
  hash: string;
}

export function keyHandlers(services: ElectionServices) {
  return {
    input: anyGeneration,
    confirmInput: confirmation,
    reserve: (task: TaskView<AnyGeneration>, ctx: HandlerContext) =>
      'protInfo_content' in (task.input as object)
        ? reserveExternalKey(services, task)
        : reserve(services, task as TaskView<Generation>, ctx),
    open: (task: TaskView<AnyGeneration>, ctx: HandlerContext) => {
      const { input } = task;
      return 'protInfo_content' in input
        ? generateExternalKey(services, { ...task, input }, ctx)
        : open(services, { ...task, input }, ctx);
    },
    confirm: (task: TaskView<z.infer<typeof confirmation>>, ctx: HandlerContext) =>
      confirm(services, task, ctx),
  };
}

async function demandSession(db: Knex, election: ElectionRecord, sessionId: string): Promise<SessionRecord> {
  const session = await lockSession(db, election.key, sessionId);
  if (session === undefined)
    throw new TaskError(
      `election ${election.key} has no session ${sessionId}`,
      undefined,
      'election_not_found',
    );
  if (session.publicKey !== null)
    throw new TaskError(`session ${sessionId} has its joint key already`, undefined, 'task_ended');
  return session;
}

async function reserve(
  services: ElectionServices,
  task: TaskView<Generation>,
  ctx: HandlerContext,
): Promise<Json> {
  const { election_id, session_id, party_keys } = generation.parse(task.input);
  const election = await demandDirector(services, task, election_id);
  const authorities = await authoritiesOf(services.db, election.key);
  const partyKeys = verifiedPartyKeys(election, authorities, party_keys);
  const first = await dealt(services, services.db, election, session_id, partyKeys);
  if (first !== undefined) return first;
  // Made before the transaction begins: the mix-net may be busy for longer than one may last.
  const made = await services.mixnet.run(
    'deal',
    {
      context: keyContextOf(election, session_id, partyKeys),
      dealer: election.position,
      secret: openPartySecret(services, election),
    },
    { signal: ctx.signal },
  );
  const transaction = await ctx.tx<Knex>();
  await lockElection(transaction, election.key);
  const meanwhile = await dealt(services, transaction, election, session_id, partyKeys);
  if (meanwhile !== undefined) return meanwhile;
  await savePartyKeys(transaction, election.key, party_keys);
  await saveDealing(transaction, session_id, sealJson(services, made, dealingContext(session_id)));
  return { commitment: made.hash };
}

/** The commitment that was given before, if any. @throws TaskError when the keys are not those of then */
async function dealt(
  services: ElectionServices,
  db: Knex,
  election: ElectionRecord,
  sessionId: string,
  partyKeys: readonly PartyKey[],
): Promise<Json | undefined> {
  for (const [index, { partyKey }] of (await authoritiesOf(db, election.key)).entries())
    if (partyKey !== null && canonicalJson(partyKey) !== canonicalJson(partyKeys[index]))
      throw new TaskError('the keys of the authorities are not those of before', undefined, 'disagreement');
  const session = await demandSession(db, election, sessionId);
  return session.sealedDealing === null ? undefined : { commitment: storedDealing(services, session).hash };
}

function storedDealing(services: ElectionServices, session: SessionRecord): StoredDealing {
  if (session.sealedDealing === null)
    throw new TaskError(`session ${session.sessionId} has no dealing of this authority`);
  return openJson(services, session.sealedDealing, dealingContext(session.sessionId)) as StoredDealing;
}

async function open(
  services: ElectionServices,
  task: TaskView<Generation>,
  ctx: HandlerContext,
): Promise<Json> {
  const { election_id, session_id, dealing_commitments: commitments = [] } = task.input;
  const election = await demandDirector(services, task, election_id);
  const transaction = await ctx.tx<Knex>();
  const session = await demandSession(transaction, election, session_id);
  const own = storedDealing(services, session);
  if (commitments.length !== election.request.authorities.length)
    throw new TaskError('there must be a commitment of every authority', undefined, 'disagreement');
  if (commitments[election.position - 1] !== own.hash)
    throw new TaskError('the commitment of this authority was changed', undefined, 'disagreement');
  if (session.commitments !== null && canonicalJson(session.commitments) !== canonicalJson(commitments))
    throw new TaskError('the dealing is promised to other commitments already', undefined, 'disagreement');
  await saveCommitments(transaction, session_id, commitments);
  return { dealing: own.dealing };
}

async function confirm(
  services: ElectionServices,
  task: TaskView<z.infer<typeof confirmation>>,
  ctx: HandlerContext,
): Promise<Json> {
  const { election_id, session_id, dealings: given } = task.input;
  const election = await demandDirector(services, task, election_id);
  const authorities = await authoritiesOf(services.db, election.key);
  const session = (await sessionsOf(services.db, election.key)).find(
    ({ sessionId }) => sessionId === session_id,
  );
  if (session?.commitments == null) throw new TaskError(`session ${session_id} has no commitments yet`);
  if (session.confirmation !== null) return { confirmation: session.confirmation };
  if (given.length !== authorities.length)
    throw new TaskError('there must be a dealing of every authority', undefined, 'disagreement');
  const context = keyContextOf(
    election,
    session_id,
    authorities.map(({ partyKey }) => partyKey!),
  );
  const dealings = given.map((dealing, index) => ({
    dealer: index + 1,
    hash: session.commitments![index]!,
    dealing,
  }));
  const parameters = {
    context,
    dealings,
    party: election.position,
    secret: openPartySecret(services, election),
  };
  const { outcomes } = await services.mixnet.run('openDealings', parameters, { signal: ctx.signal });
  const findings = outcomes.flatMap((outcome) => {
    if (outcome.outcome === 'accepted') return [];
    const complaint = outcome.outcome === 'complaint' ? { complaint: outcome.complaint } : {};
    return [{ dealer: outcome.dealer, reason: outcome.reason, ...complaint }];
  });
  if (findings.length > 0) return { findings: findings as unknown as Json };
  const joint = await services.mixnet.run('combineDealings', parameters, { signal: ctx.signal });
  const transaction = await ctx.tx<Knex>();
  const locked = await lockSession(transaction, election.key, session_id);
  if (locked?.confirmation !== null) return { confirmation: locked?.confirmation ?? null };
  await saveSessionKey(transaction, session_id, {
    dealings: given,
    publicKey: joint.publicKey,
    polynomial: joint.polynomial,
    confirmation: joint.confirmation,
    sealedShare: sealJson(services, joint.share, shareContext(session_id)),
  });
  return { confirmation: joint.confirmation };
}
