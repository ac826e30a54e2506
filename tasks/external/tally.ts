/**
 * The tally of a session by Verificatum's programs, the side of every authority (EO-35, EO-37, EO-38): all n programs
 * run at the same time, mix and decrypt; then each authority verifies the proof, with `vmnv` and with our own verifier,
 * against the list that its operator approved.
 *
 * The programs decrypt what they are given. So the session counts as decrypted (EO-31) before they start, and a mixing
 * that was cut off is not taken up again: the tally is requested again, of the same list.
 */
import { copyFile, cp, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { HandlerContext } from '../../lib/engine/context.ts';
import { TaskError } from '../../lib/engine/definitions.ts';
import type { Json } from '../../lib/json.ts';
import { serialise } from '../../lib/mixnet/byte-tree/tree.ts';
import { fileNames } from '../../lib/mixnet/directory/file-names.ts';
import { publicKeyTree } from '../../lib/mixnet/elgamal/ciphertexts.ts';
import { publicKeyFromJson } from '../../lib/mixnet/formats/public-key-json.ts';
import { groupByName } from '../../lib/mixnet/groups/registry.ts';
import { readProtocolInfo } from '../../lib/mixnet/session/protocol-info.ts';
import { MixSession } from '../../lib/mixnet/session/session.ts';
import { hashFile } from '../election/hash.ts';
import type { ElectionServices } from '../election/services.ts';
import { listFile } from '../tally/attempt.ts';
import { demandNoForgottenList, recordDecryption } from '../tally/decrypted-lists.ts';
import type { SessionParticipation } from '../tally/participation.ts';
import { findTally, lockTally, saveSessionState, setTallyStatus, tallySession } from '../tally/records.ts';
import { type ExternalPlace, externalPlace, files, runPrograms, secretOf, withSecret } from './programs.ts';

/** Where the proof of a mixing lies until it is published. */
const PROOF = 'verificatum-proof';
const PLAINTEXTS = 'verificatum-plaintexts';
/** In the session's folder: `vmn` holds the state of a mixing, and has to forget it before another one. */
const BEGUN = 'mixing-begun';

/** EO-37: mixes and decrypts the session, together with the programs of all other authorities. */
export async function mixExternally(
  services: ElectionServices,
  part: SessionParticipation,
  ctx: HandlerContext,
): Promise<Json> {
  const { election, session, tally, folders, own } = part;
  if (own.state.length === 0) return { ready: true };
  const place = await externalPlace(services, election.key, session.sessionId);
  const secret = secretOf(services, session);
  await begin(services, part);
  const givenUp = async (): Promise<boolean> =>
    (await findTally(services.db, election.key, tally.tallyId))?.status !== 'mixing';
  await withSecret(place, secret, () =>
    runPrograms(
      services,
      ctx,
      async (options) => {
        ctx.progress({ step: 'mixing and decrypting', done: 0, total: 1 });
        await forgetEarlier(place, options);
        await importList(part, place, options);
        await place.session.run('mixing', files.ciphertexts, files.plaintexts, {}, options);
      },
      givenUp,
    ),
  );
  const { root } = folders.session(session.sessionId);
  await cp(place.session.proofDirectory(), join(root, PROOF), { recursive: true });
  await copyFile(join(place.folder, files.plaintexts), join(root, PLAINTEXTS));
  return { ready: true };
}

/** Committed before any program runs. @throws TaskError when this session was begun before in the same tally */
async function begin(
  services: ElectionServices,
  { election, tally, session }: SessionParticipation,
): Promise<void> {
  await demandNoForgottenList(services, election, tally.request, tally.listsHash!);
  await services.db.transaction(async (transaction) => {
    const { status } = await lockTally(transaction, tally);
    const { state } = await tallySession(transaction, tally, session.question);
    if (state.decrypting)
      throw new TaskError('the mixing was begun before and cut off; request the tally again');
    if (status !== 'approved' && status !== 'mixing')
      throw new TaskError(`the tally ${tally.tallyId} is over (${status})`, undefined, 'disagreement');
    if (status === 'approved') await setTallyStatus(transaction, tally, 'mixing');
    await saveSessionState(transaction, tally, session.question, { ...state, decrypting: true });
    await recordDecryption(services, election, tally.listsHash!);
  });
}

type Options = Parameters<ExternalPlace['session']['delete']>[1];

async function forgetEarlier({ folder, session }: ExternalPlace, options: Options): Promise<void> {
  const begun = join(folder, BEGUN);
  if ((await stat(begun).catch(() => null)) !== null) await session.delete({}, options);
  await rm(session.proofDirectory(), { recursive: true, force: true });
  await rm(join(folder, files.plaintexts), { force: true });
  await writeFile(begun, '');
}

/** EO-35. Only groups modulo a prime have Verificatum's JSON; of others the list is raw already (VF 3.5). */
async function importList(
  { election, session, folders, directory, own }: SessionParticipation,
  place: ExternalPlace,
  options: Options,
): Promise<void> {
  const raw = join(place.folder, files.ciphertexts);
  await rm(raw, { force: true });
  if (groupByName(election.group).kind === 'multiplicative') {
    await copyFile(folders.session(session.sessionId).ciphertexts, join(place.folder, files.ciphertextsJson));
    await place.session.importCiphertexts(files.ciphertextsJson, files.ciphertexts, 'json', options);
  } else await copyFile(join(directory.directory, listFile(0)), raw);
  if ((await hashFile(raw)).toString('hex') !== own.state.list)
    throw new TaskError('the list to be mixed is not the one that was approved', undefined, 'disagreement');
}

/**
 * EO-38: a copy of the proof in `folder`, verified by `vmnv` and by our own verifier, which believes nothing of what the
 * programs said: key and list are those that this authority knows.
 * @returns the last shuffler, whose list was decrypted
 */
export async function verifyExternally(
  services: ElectionServices,
  { election, session, folders, directory, own }: SessionParticipation,
  folder: string,
  ctx: HandlerContext,
): Promise<number> {
  const { root, proof } = folders.session(session.sessionId);
  const place = await externalPlace(services, election.key, session.sessionId);
  await runPrograms(services, ctx, (options) => place.session.verify('mixing', {}, options));
  await mkdir(folder, { recursive: true });
  await cp(join(root, PROOF), folder, { recursive: true });
  const { codec } = new MixSession(readProtocolInfo(directory.protInfo), { auxsid: 'default', width: 1 });
  const ciphertexts = await readFile(join(proof, fileNames.ciphertexts));
  if ((await hashFile(join(proof, fileNames.ciphertexts))).toString('hex') !== own.state.list)
    throw new TaskError('the approved list was changed on this authority’s disk', undefined, 'disagreement');
  const result = await services.mixnet.run(
    'verifyProofDirectory',
    {
      protInfo: directory.protInfo,
      directory: folder,
      expect: {
        type: 'mixing',
        auxsid: 'default',
        width: 1,
        publicKey: serialise(publicKeyTree(codec, publicKeyFromJson(session.publicKey).key)),
        ciphertexts: new Uint8Array(ciphertexts),
        plaintexts: new Uint8Array(await readFile(join(root, PLAINTEXTS))),
      },
    },
    { signal: ctx.signal },
  );
  const last = result.shufflers?.at(-1);
  if (result.ok && last !== undefined) return last;
  const wrong = result.steps.find(({ ok }) => !ok);
  throw new TaskError(
    `the proofs of question ${session.question + 1} are not valid: ${wrong?.title}: ${wrong?.reason}`,
    { steps: result.steps as unknown as Json },
    'proof_invalid',
  );
}
