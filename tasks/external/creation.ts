/**
 * The key generation of an election by Verificatum's programs, the side of every authority (EO-21, EO-24, EO-26):
 *
 *     generate_private_info_mixnet   vmni -prot, vmni -party; what others need (localProtInfo.xml) is the answer
 *     merge_protinfo (director)      vmni -merge; protInfo.xml goes to all
 *     generate_public_key            vmn -keygen at the same time everywhere; vmnc -pkey
 *
 * The director only carries: each authority makes the parameters from the approved request by itself, and refuses a
 * protInfo.xml that has others, or not its own party as it made it. That all have the same protInfo.xml and the same
 * joint key is what they compare directly with one another before the election exists (D32).
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Knex } from 'knex';
import { z } from 'zod';
import type { HandlerContext, TaskView } from '../../lib/engine/context.ts';
import { TaskError } from '../../lib/engine/definitions.ts';
import type { Json } from '../../lib/json.ts';
import { VerificatumSession } from '../../lib/mixnet/external/verificatum.ts';
import { type ExternalFormat, parsePublicKey } from '../../lib/mixnet/formats/external.ts';
import { publicKeyToJson } from '../../lib/mixnet/formats/public-key-json.ts';
import { groupByDescription, groupByName } from '../../lib/mixnet/groups/registry.ts';
import { Refusal } from '../../lib/mixnet/refusal.ts';
import {
  mergeProtocolInfo,
  type ProtocolInfo,
  readLocalProtocolInfo,
  readProtocolInfo,
} from '../../lib/mixnet/session/protocol-info.ts';
import { demandAnswer } from '../election/callbacks.ts';
import { dealingContext, openJson, sealJson, shareContext } from '../election/party-secret.ts';
import {
  type ElectionRecord,
  findElection,
  lockElection,
  lockSession,
  type SessionRecord,
  saveDealing,
  saveSessionKey,
  sessionsOf,
  setElectionStatus,
} from '../election/records.ts';
import type { ElectionServices } from '../election/services.ts';
import { partyNameOf, protocolParametersOf, sidOf } from '../election/session-parameters.ts';
import { demandDirector } from '../election/trust.ts';
import {
  type ExternalPlace,
  type ExternalSecret,
  externalFolder,
  externalPlace,
  files,
  programsOf,
  runPrograms,
  withSecret,
} from './programs.ts';

/** Output of `generate_private_info` (EO-24): a localProtInfo.xml of each question. */
export const localInfoOutput = z.array(z.string().max(65_536)).min(1).max(100);

/** Input of `generate_public_key` (EO-26). */
export const externalGeneration = z.object({
  election_id: z.union([z.string(), z.number()]),
  session_id: z.string().max(128),
  protInfo_content: z.string().max(1 << 20),
});

/** Until the joint key is there: what was made for a session, its secret included. */
interface Prepared extends ExternalSecret {
  readonly local: string;
}

export async function makeLocalInformation(
  services: ElectionServices,
  election: ElectionRecord,
  ctx: HandlerContext,
): Promise<void> {
  const made: { sessionId: string; prepared: Prepared }[] = [];
  // Of an earlier attempt at this election, which came to nothing.
  await rm(externalFolder(services, election.key), { recursive: true, force: true });
  for (const { sessionId } of await sessionsOf(services.db, election.key))
    made.push({ sessionId, prepared: await prepare(services, election, sessionId, ctx) });
  const transaction = await ctx.tx<Knex>();
  for (const { sessionId, prepared } of made)
    await saveDealing(transaction, sessionId, sealJson(services, prepared, dealingContext(sessionId)));
  await setElectionStatus(transaction, election.key, 'approved');
  ctx.setParentOutput(made.map(({ prepared }) => prepared.local));
}

async function prepare(
  services: ElectionServices,
  election: ElectionRecord,
  sessionId: string,
  ctx: HandlerContext,
): Promise<Prepared> {
  const { folder, session } = await externalPlace(services, election.key, sessionId);
  const { http, hint } = programsOf(services);
  const expected = protocolParametersOf(election, election.request.authorities.length, sessionId);
  await runPrograms(services, ctx, async (options) => {
    await session.createStub(
      {
        sid: sidOf(sessionId),
        name: expected.name,
        parties: expected.nopart,
        threshold: expected.thres,
        pgroup: expected.pgroup,
      },
      options,
    );
    await session.createParty({ name: partyNameOf(election.position), http, hint }, options);
  });
  const local = await readFile(join(folder, files.local), 'utf8');
  const privInfo = await readFile(join(folder, files.privInfo), 'utf8');
  await rm(join(folder, files.privInfo));
  demandParameters(readLocalProtocolInfo(local), expected);
  return { local, privInfo };
}

/** What decides about proofs and keys; names, addresses and descriptions do not. */
function demandParameters(given: ProtocolInfo, expected: Omit<ProtocolInfo, 'parties'>): void {
  for (const field of Object.keys(expected) as (keyof typeof expected)[]) {
    if (field === 'descr' || field === 'pgroup' || given[field] === expected[field]) continue;
    const values = `${given[field]}, and not ${expected[field]}`;
    throw new TaskError(`protInfo.xml has <${field}> ${values}`, undefined, 'disagreement');
  }
  if (groupByDescription(given.pgroup).name !== groupByDescription(expected.pgroup).name)
    throw new TaskError('protInfo.xml has another group than the election', undefined, 'disagreement');
}

/** EO-25, on the director: the authorities' answers into one protInfo.xml for each session. */
export async function mergeLocalInformation(
  services: ElectionServices,
  election: ElectionRecord,
  answers: readonly { name: string; answer: TaskView }[],
  ctx: HandlerContext,
): Promise<{ sessionId: string; question: number; protInfo: string }[]> {
  const given = answers.map(({ name, answer }) => demandAnswer(localInfoOutput, answer, name));
  const merged: { sessionId: string; question: number; protInfo: string }[] = [];
  for (const { sessionId, question } of await sessionsOf(services.db, election.key)) {
    const folder = join(externalFolder(services, election.key), `${sessionId}-merge`);
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const names: string[] = [];
    for (const [index, locals] of given.entries()) {
      const local = locals[question];
      if (local === undefined)
        throw new TaskError(`${answers[index]!.name} gave no localProtInfo.xml of question ${question + 1}`);
      const name = `${partyNameOf(index + 1)}.xml`;
      await writeFile(join(folder, name), local);
      names.push(name);
    }
    const session = new VerificatumSession(folder, programsOf(services));
    await runPrograms(services, ctx, (options) => session.merge(names, options));
    merged.push({ sessionId, question, protInfo: await readFile(join(folder, files.protInfo), 'utf8') });
  }
  return merged;
}

type Generation = TaskView<z.infer<typeof externalGeneration>>;

interface Keyless {
  election: ElectionRecord;
  session: SessionRecord;
  prepared: Prepared;
}

async function keyless(
  services: ElectionServices,
  task: Pick<Generation, 'peerId' | 'input'>,
): Promise<Keyless> {
  const { election_id, session_id, protInfo_content } = task.input;
  const election = await demandDirector(services, task, election_id);
  const session = (await sessionsOf(services.db, election.key)).find(
    ({ sessionId }) => sessionId === session_id,
  );
  if (session === undefined)
    throw new TaskError(
      `election ${election.key} has no session ${session_id}`,
      undefined,
      'election_not_found',
    );
  if (session.publicKey !== null)
    throw new TaskError(`session ${session_id} has its joint key already`, undefined, 'task_ended');
  if (election.status !== 'approved' || session.sealedDealing === null)
    throw new TaskError(
      `${services.node.name} has not approved the election`,
      undefined,
      'task_not_accepted',
    );
  const prepared = openJson(services, session.sealedDealing, dealingContext(session_id)) as Prepared;
  demandOwnParty(election, session_id, prepared.local, protInfo_content);
  return { election, session, prepared };
}

/** @throws TaskError `disagreement` unless protInfo.xml is of the approved election, with this authority as it made itself */
function demandOwnParty(election: ElectionRecord, sessionId: string, local: string, protInfo: string): void {
  const { authorities } = election.request;
  try {
    const info = readProtocolInfo(protInfo);
    demandParameters(info, protocolParametersOf(election, authorities.length, sessionId));
    const locals = info.parties.map(
      (party, index): ProtocolInfo =>
        index === election.position - 1 ? readLocalProtocolInfo(local) : { ...info, parties: [party] },
    );
    if (JSON.stringify(mergeProtocolInfo(locals)) !== JSON.stringify(info))
      throw new TaskError(
        'protInfo.xml has another party in the place of this authority',
        undefined,
        'disagreement',
      );
    const stranger = info.parties.findIndex(({ name }, index) => name !== partyNameOf(index + 1));
    if (stranger !== -1)
      throw new TaskError(
        `protInfo.xml does not name party ${stranger + 1} by its place`,
        undefined,
        'disagreement',
      );
  } catch (thrown) {
    if (thrown instanceof Refusal) throw new TaskError(thrown.message, undefined, 'disagreement');
    throw thrown;
  }
}

/** Every authority has the parameters, and its programs are free. */
export async function reserveExternalKey(services: ElectionServices, task: TaskView): Promise<Json> {
  programsOf(services);
  await keyless(services, { peerId: task.peerId, input: externalGeneration.parse(task.input) });
  return { ready: true };
}

export async function generateExternalKey(
  services: ElectionServices,
  task: Generation,
  ctx: HandlerContext,
): Promise<Json> {
  const { election, session, prepared } = await keyless(services, task);
  const place = await externalPlace(services, election.key, session.sessionId);
  await writeOnce(join(place.folder, files.protInfo), task.input.protInfo_content);
  const { json, raw } = await runKeyGeneration(services, election, place, prepared, ctx);
  const confirmation = createHash('sha256')
    .update('conclave external key, version 1\n')
    .update(createHash('sha256').update(task.input.protInfo_content).digest())
    .update(raw)
    .digest('hex');
  const transaction = await ctx.tx<Knex>();
  await lockElection(transaction, election.key);
  const locked = await lockSession(transaction, election.key, session.sessionId);
  if (locked?.publicKey !== null) throw new TaskError('the session has its joint key already');
  const secret: ExternalSecret = { privInfo: prepared.privInfo };
  await saveSessionKey(transaction, session.sessionId, {
    dealings: null,
    publicKey: json,
    polynomial: null,
    confirmation,
    sealedShare: sealJson(services, secret, shareContext(session.sessionId)),
  });
  return { confirmation };
}

/**
 * protInfo.xml is there before `vmn` is started, and only once: a key generation that was cut off is not taken up again,
 * because the programs of the others are gone.
 */
async function writeOnce(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text, { flag: 'wx' });
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown;
    throw new TaskError('the key generation was begun before and cut off; request the election again');
  }
}

async function runKeyGeneration(
  services: ElectionServices,
  election: ElectionRecord,
  place: ExternalPlace,
  secret: ExternalSecret,
  ctx: HandlerContext,
): Promise<{ json: ReturnType<typeof publicKeyToJson>; raw: Buffer }> {
  // Only groups modulo a prime have Verificatum's JSON (VF 3.5).
  const format: ExternalFormat & ('json' | 'native') =
    groupByName(election.group).kind === 'multiplicative' ? 'json' : 'native';
  const exported = `publicKey_${format}`;
  const givenUp = async (): Promise<boolean> =>
    (await findElection(services.db, election.key))?.status === 'failed';
  await withSecret(place, secret, () =>
    runPrograms(
      services,
      ctx,
      async (options) => {
        ctx.progress({ step: 'generating the key', done: 0, total: 1 });
        await place.session.generateKey(files.publicKey, options);
        await place.session.exportPublicKey(files.publicKey, exported, format, options);
      },
      givenUp,
    ),
  );
  const raw = await readFile(join(place.folder, files.publicKey));
  const { group, key } = parsePublicKey(raw, 'raw');
  const other = parsePublicKey(await readFile(join(place.folder, exported)), format);
  const json = publicKeyToJson(group, key);
  if (group.name !== election.group)
    throw new TaskError(`vmn made a key of the group ${group.name}, not ${election.group}`);
  if (JSON.stringify(publicKeyToJson(other.group, other.key)) !== JSON.stringify(json))
    throw new TaskError('vmnc made another key of the public key');
  return { json, raw };
}
