/**
 * Verificatum's programs in the service of an election (D44): where each session has its files, how a program is run for
 * it, and what its failure means to the others.
 *
 *     <private>/elections/<election>/verificatum/<session>/
 *         stub.xml, localProtInfo.xml, protInfo.xml     parameters; no secrets
 *         privInfo.xml                                  only while `vmn` runs; otherwise sealed in the database
 *         dir/                                          the state of `vmn`, the key share in it: mode 0700
 *
 * The programs of all authorities run at the same time and talk to one another over a network of their own; what they say
 * there is theirs. An authority whose program fails says so by its task; the director then has the others stop theirs,
 * which would wait for hours.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { HandlerContext } from '../../lib/engine/context.ts';
import { TaskError } from '../../lib/engine/definitions.ts';
import { ConclaveError } from '../../lib/errors.ts';
import { ExternalProgramError } from '../../lib/mixnet/external/program.ts';
import { type StepOptions, VerificatumSession } from '../../lib/mixnet/external/verificatum.ts';
import type { ElectionRequest } from '../election/election.ts';
import { openJson, shareContext } from '../election/party-secret.ts';
import type { AuthorityRecord, ElectionRecord, SessionRecord } from '../election/records.ts';
import type { ElectionServices, ExternalMixnet } from '../election/services.ts';
import { protocolInfoOf } from '../election/session-parameters.ts';

/** How often a program that runs asks whether its work has been given up, in milliseconds. */
const WATCH = 1000;

export const files = {
  local: 'localProtInfo.xml',
  privInfo: 'privInfo.xml',
  protInfo: 'protInfo.xml',
  publicKey: 'publicKey_raw',
  ciphertextsJson: 'ciphertexts_json',
  ciphertexts: 'ciphertexts_raw',
  plaintexts: 'plaintexts_raw',
} as const;

export function isExternal({ mixnet }: Pick<ElectionRequest, 'mixnet'>): boolean {
  return mixnet === 'verificatum';
}

/** @throws ConclaveError `mixnet_unavailable` when the election wants programs that this node is not set to call */
export function demandMixnet(services: ElectionServices, request: Pick<ElectionRequest, 'mixnet'>): void {
  if (isExternal(request)) programsOf(services);
}

export function programsOf({ external, node }: ElectionServices): ExternalMixnet {
  if (external === null) throw new ConclaveError('mixnet_unavailable', { node: node.name });
  return external;
}

/** The stored secret of a session, in the place of a share of our own. */
export interface ExternalSecret {
  readonly privInfo: string;
}

export interface ExternalPlace {
  readonly folder: string;
  readonly session: VerificatumSession;
}

export function externalFolder(services: ElectionServices, election: string): string {
  return join(services.privateFolder, 'elections', election, 'verificatum');
}

export async function externalPlace(
  services: ElectionServices,
  election: string,
  sessionId: string,
): Promise<ExternalPlace> {
  const folder = join(externalFolder(services, election), sessionId);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  return { folder, session: new VerificatumSession(folder, programsOf(services)) };
}

/** protInfo.xml of a session: as follows from the request, or as the authorities' programs made it and all compared. */
export async function sessionProtocolInfo(
  services: ElectionServices,
  election: ElectionRecord,
  authorities: readonly AuthorityRecord[],
  sessionId: string,
): Promise<string> {
  if (!isExternal(election.request)) return protocolInfoOf(election, authorities, sessionId);
  return readFile(join(externalFolder(services, election.key), sessionId, files.protInfo), 'utf8');
}

/** Puts privInfo.xml where `vmn` looks for it, for as long as it runs. @throws ConclaveError `share_missing` */
export async function withSecret<T>(
  { folder }: ExternalPlace,
  secret: ExternalSecret,
  work: () => Promise<T>,
): Promise<T> {
  const path = join(folder, files.privInfo);
  await rm(path, { force: true });
  try {
    await writeFile(path, secret.privInfo, { mode: 0o600 });
    return await work();
  } finally {
    await rm(path, { force: true });
  }
}

export function secretOf(
  services: ElectionServices,
  { sessionId, sealedShare }: SessionRecord,
): ExternalSecret {
  if (sealedShare === null)
    throw new ConclaveError('share_missing', {
      detail: `the private information of session ${sessionId} is not on ${services.node.name}; restore it first`,
    });
  return openJson(services, sealedShare, shareContext(sessionId)) as ExternalSecret;
}

/**
 * Runs programs for a task. They end with the task, and when `givenUp` says that nobody waits for them any more.
 * @throws TaskError that names this authority, the program and the last line that it printed
 */
export async function runPrograms<T>(
  services: ElectionServices,
  ctx: HandlerContext,
  work: (options: StepOptions) => Promise<T>,
  givenUp: () => Promise<boolean> = async () => false,
): Promise<T> {
  const abandoned = new AbortController();
  const watch = setInterval(() => {
    void givenUp().then(
      (over) => over && abandoned.abort(),
      // The database is away for a moment: asked again.
      () => undefined,
    );
  }, WATCH);
  const signal = AbortSignal.any([ctx.signal, abandoned.signal]);
  const onLine = (line: string): void =>
    ctx.log.debug({ event: 'verificatum_says', line: line.slice(0, 500) }, 'verificatum');
  try {
    return await work({ signal, onLine });
  } catch (thrown) {
    if (!(thrown instanceof ExternalProgramError)) throw thrown;
    ctx.signal.throwIfAborted();
    throw programFailed(services, thrown);
  } finally {
    clearInterval(watch);
  }
}

function programFailed({ node }: ElectionServices, error: ExternalProgramError): TaskError {
  const last = error.tail.split('\n').filter(Boolean).at(-1)?.slice(0, 300);
  const said = last === undefined ? '' : `; the last that it printed: ${last}`;
  return new TaskError(
    `${node.name}: ${error.message}${said}`,
    { authority: node.name, program: error.program, failure: error.failure },
    'external_program',
  );
}
