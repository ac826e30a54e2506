/**
 * Creating an election, the side of every authority (EO-22…EO-26, D32): it checks who asks and what, asks its operator,
 * makes its keys, and believes nothing that it can check.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Knex } from 'knex';
import { z } from 'zod';
import type { HandlerContext, TaskView } from '../../lib/engine/context.ts';
import { type DefinedTask, defineTask, TaskError } from '../../lib/engine/definitions.ts';
import { external, parallel, simple, type TreeNode } from '../../lib/engine/tree.ts';
import { ConclaveError } from '../../lib/errors.ts';
import type { Json } from '../../lib/json.ts';
import { createPartyKey } from '../../lib/mixnet/keys/party-key.ts';
import { MIXNET_QUEUE, PERFORMER_QUEUE } from '../election/callbacks.ts';
import { compareTask } from '../election/comparison.ts';
import { approvalInfo, describeElection } from '../election/description.ts';
import { type ElectionRequest, electionKey } from '../election/election.ts';
import { giveUpDefinition } from '../election/giving-up.ts';
import { demandOrder, orderSignature } from '../election/orders.ts';
import {
  openPartySecret,
  partySecretContext,
  sealJson,
  withoutEncryptionKey,
} from '../election/party-secret.ts';
import {
  authoritiesOf,
  deleteElection,
  insertElection,
  lockElection,
  savePartySecret,
  sessionsOf,
  setElectionStatus,
} from '../election/records.ts';
import { parseElectionRequest, requestHash } from '../election/request.ts';
import type { ElectionServices } from '../election/services.ts';
import { SESSION_ID } from '../election/session-parameters.ts';
import {
  demandAuthority,
  demandDirector,
  demandElection,
  ownPosition,
  partyKeyStatement,
  unknownAuthorities,
} from '../election/trust.ts';
import { makeLocalInformation } from '../external/creation.ts';
import { demandMixnet, isExternal, sessionProtocolInfo } from '../external/programs.ts';
import { keyHandlers } from './keys.ts';

const privateInfo = z.object({
  request: z.unknown(),
  request_hash: z.string(),
  sessions: z.array(z.string().regex(SESSION_ID, 'is not a session id')).min(1).max(100),
  order: orderSignature,
});
const electionInput = z.object({ election_id: z.union([z.string(), z.number()]) });
const decision = z.object({ status: z.string(), reason: z.string().max(4096).optional() });

const queue = PERFORMER_QUEUE;
const local = { queue, localOnly: true } as const;
const retry = { attempts: 3 };

export function performerDefinitions(services: ElectionServices): DefinedTask[] {
  const keys = keyHandlers(services);
  const generatePublicKey = (on: string): DefinedTask =>
    defineTask({ queue: on, action: 'generate_public_key', input: keys.input, retry }, keys.open, {
      reserve: keys.reserve,
    });
  return [
    defineTask({ queue, action: 'generate_private_info', input: privateInfo, retry }, (task, ctx) =>
      generatePrivateInfo(services, task, ctx),
    ),
    defineTask({ ...local, action: 'generate_private_info_mixnet', input: electionInput }, (task, ctx) =>
      generatePartyKey(services, task, ctx),
    ),
    // The queue of the seed's tutorial, and that of the original's later versions (1G).
    generatePublicKey(queue),
    generatePublicKey(MIXNET_QUEUE),
    defineTask({ queue, action: 'confirm_public_key', input: keys.confirmInput, retry }, keys.confirm),
    defineTask({ queue, action: 'compare_public_key', input: electionInput, retry }, (task, ctx) =>
      comparePublicKey(services, task, ctx),
    ),
    defineTask({ ...local, action: 'publish_election', input: electionInput, retry }, (task, ctx) =>
      publishElection(services, task.input.election_id, ctx),
    ),
    giveUpDefinition(services),
  ];
}

/** EO-22, with the checks that the original left out (1B.6). */
async function generatePrivateInfo(
  services: ElectionServices,
  task: TaskView<z.infer<typeof privateInfo>>,
  ctx: HandlerContext,
): Promise<void> {
  const { maxQuestions, defaultGroup, autoAccept } = services.settings;
  const request = parseElectionRequest(task.input.request, { maxQuestions, defaultGroup });
  const electionId = request.id;
  const director = demandAuthority(services, task, request);
  const position = ownPosition(services, request.authorities);
  if (position === 0) throw new ConclaveError('not_an_authority', { who: services.node.name, electionId });
  const strangers = unknownAuthorities(services, request.authorities);
  if (strangers.length > 0)
    throw new ConclaveError('invalid_request', {
      problems: strangers.map(({ at, problem }) => `${at}: ${problem}`),
    });
  demandMixnet(services, request);
  const hash = requestHash(request);
  if (hash !== task.input.request_hash)
    throw new TaskError(
      `the request of election ${electionId} has the hash ${hash} here, not ${task.input.request_hash}`,
      { authority: services.node.name },
      'disagreement',
    );
  const { sessions, order } = task.input;
  checkSessions(sessions, request.questions.length);
  const ordered = { kind: 'election', election_id: electionId, request_hash: hash, sessions } as const;
  await demandOrder(services, task, ordered, order);
  const transaction = await ctx.tx<Knex>();
  await makeRoom(transaction, request, director.orchestra_url);
  await insertElection(transaction, {
    request,
    requestHash: hash,
    position,
    directorUrl: director.orchestra_url,
    taskId: task.id,
    sessionIds: sessions,
  });
  const description = describeElection(request);
  const approved = simple({
    queue,
    action: 'generate_private_info_mixnet',
    data: { election_id: electionId },
  });
  if (autoAccept) ctx.add(approved);
  else
    ctx.add(
      external({
        label: 'approve_election',
        info: approvalInfo(description),
        data: { election_id: electionId, request_hash: hash, description, request } as unknown as Json,
      }),
      approved,
    );
}

/** Only the director that began an election may begin it anew, and only while there is none. */
async function makeRoom(db: Knex, { id: electionId }: ElectionRequest, directorUrl: string): Promise<void> {
  const key = electionKey(electionId);
  const known = await lockElection(db, key);
  if (known === undefined) return;
  if (known.status === 'created' || known.directorUrl !== directorUrl)
    throw new ConclaveError('election_exists', { electionId });
  await deleteElection(db, key);
}

function checkSessions(sessions: readonly string[], questions: number): void {
  const wrong = sessions.length !== questions || sessions.some((id, index) => !id.startsWith(`${index}-`));
  if (wrong)
    throw new TaskError(`there must be one session for each of the ${questions} questions, in order`);
}

/** EO-24: nothing but `{"status": "accepted"}` is an approval. */
async function generatePartyKey(
  services: ElectionServices,
  { input, parentId }: TaskView<z.infer<typeof electionInput>>,
  ctx: HandlerContext,
): Promise<void> {
  const election = await demandElection(services, input.election_id);
  // What was approved is this very request, not one that took its place meanwhile.
  if (election.taskId !== parentId || election.status !== 'requested')
    throw new TaskError(
      `the creation of election ${election.key} was given up before it was approved`,
      { authority: services.node.name },
      'task_not_accepted',
    );
  const approval = await ctx.previous();
  if (approval !== undefined) {
    const given = decision.safeParse(approval.output).data;
    if (given?.status !== 'accepted') {
      const reason = given?.reason ?? 'no reason was given';
      await setElectionStatus(services.db, election.key, 'denied', reason);
      throw denial(services.node.name, reason);
    }
  }
  if (isExternal(election.request)) return makeLocalInformation(services, election, ctx);
  const { key, secret } = createPartyKey(election.key);
  const transaction = await ctx.tx<Knex>();
  await savePartySecret(
    transaction,
    election.key,
    sealJson(services, secret, partySecretContext(election.key)),
  );
  await setElectionStatus(transaction, election.key, 'approved');
  const signature = services.sign(partyKeyStatement(election.requestHash, key)).toString('base64');
  ctx.setParentOutput({ party_key: key as unknown as Json, signature });
}

export function denial(authority: string, reason: string): TaskError {
  return new TaskError(
    `task not accepted: ${authority} denied the request: ${reason}`,
    { authority, reason },
    'task_not_accepted',
  );
}

/** D32: each authority asks each other one directly, so that a director cannot show them different keys. */
async function comparePublicKey(
  services: ElectionServices,
  task: TaskView<z.infer<typeof electionInput>>,
  ctx: HandlerContext,
): Promise<void> {
  const election = await demandDirector(services, task, task.input.election_id);
  const sessions = await sessionsOf(services.db, election.key);
  const hashes = Object.fromEntries(sessions.map(({ sessionId, confirmation }) => [sessionId, confirmation]));
  const electionId = election.request.id;
  const asked = otherAuthorities(services, election.request.authorities).map((url) =>
    compareTask(url, electionId, 'public_key', hashes),
  );
  const publish = simple({ queue, action: 'publish_election', data: { election_id: electionId } });
  const trees: TreeNode[] = asked.length === 0 ? [publish] : [parallel(asked), publish];
  ctx.add(...trees);
}

function otherAuthorities(
  services: ElectionServices,
  authorities: readonly { orchestra_url: string }[],
): string[] {
  return authorities.map(({ orchestra_url }) => orchestra_url).filter((url) => url !== services.node.url);
}

/**
 * EO-10, EO-26: `publicKey_json` and `protInfo.xml` of each session. The key generation is over: the key that opens
 * sealed shares is forgotten, so that from now on a share is where it is, and nowhere else (EO-8).
 */
async function publishElection(
  services: ElectionServices,
  electionId: string | number,
  ctx: HandlerContext,
): Promise<void> {
  const election = await demandElection(services, electionId);
  const authorities = await authoritiesOf(services.db, election.key);
  for (const { sessionId, publicKey } of await sessionsOf(services.db, election.key)) {
    if (publicKey === null) throw new ConclaveError('election_not_ready', { electionId });
    const folder = join(services.publicFolder, election.key, sessionId);
    await mkdir(folder, { recursive: true });
    const protInfo = await sessionProtocolInfo(services, election, authorities, sessionId);
    await writeFile(join(folder, 'protInfo.xml'), protInfo);
    await writeFile(join(folder, 'publicKey_json'), JSON.stringify(publicKey));
  }
  if (isExternal(election.request)) return setElectionStatus(await ctx.tx<Knex>(), election.key, 'created');
  const kept = withoutEncryptionKey(openPartySecret(services, election));
  const transaction = await ctx.tx<Knex>();
  const sealed = sealJson(services, kept, partySecretContext(election.key));
  await savePartySecret(transaction, election.key, sealed);
  await setElectionStatus(transaction, election.key, 'created');
}
