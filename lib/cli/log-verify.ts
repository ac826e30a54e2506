/** `conclave log verify`: checks the own log, or exports of one or several nodes, against pinned certificates (D24). */
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { type ReadRecord, readExport } from '../audit/export-file.ts';
import { UnusableExport } from '../audit/export-format.ts';
import { type Verification, verifyLogs } from '../audit/verify.ts';
import type { LogSource } from '../audit/verify-chain.ts';
import { FINDINGS } from '../audit/verify-findings.ts';
import { type PinnedCertificate, Trust } from '../audit/verify-trust.ts';
import { ConclaveError, reasonOf } from '../errors.ts';
import { loadIdentity } from '../node/identity.ts';
import type { Settings } from '../node/settings.ts';
import { normaliseFingerprint, pinCertificate } from '../protocol/certificate.ts';
import { exportRecords } from '../store/audit-export.ts';
import type { Database } from '../store/database.ts';
import { listPeers } from '../store/peers.ts';
import { type GlobalOptions, withDatabase } from './node-access.ts';
import { EXIT, type ExitCode, UsageError } from './outcome.ts';
import { harmless, type Terminal } from './terminal.ts';

export interface LogVerifyOptions extends GlobalOptions {
  certificate?: string[];
  fingerprint?: string[];
  leeway: number;
}

export async function verifyLog(
  files: readonly string[],
  options: LogVerifyOptions,
  terminal: Terminal,
): Promise<ExitCode> {
  const given = await givenPins(options);
  const verification = await usable(() =>
    files.length === 0 ? ofDatabase(given, options, terminal) : ofFiles(files, given, options, terminal),
  );
  if (options.json) terminal.out(JSON.stringify(verification, null, 2));
  else show(verification, terminal);
  return verification.verdict === 'valid' ? EXIT.ok : EXIT.failure;
}

async function usable(work: () => Promise<Verification>): Promise<Verification> {
  try {
    return await work();
  } catch (thrown) {
    if (thrown instanceof UnusableExport) throw new UsageError(thrown.message);
    throw thrown;
  }
}

/** `URL=FILE` is of one node; a file alone is of the node whose log it signs. */
async function givenPins({
  certificate = [],
  fingerprint = [],
}: LogVerifyOptions): Promise<PinnedCertificate[]> {
  const pins: PinnedCertificate[] = [];
  for (const text of certificate) {
    const [, node = null, file = text] = /^(https?:\/\/[^=]+)=(.+)$/.exec(text) ?? [];
    const pem = await readFile(file, 'utf8').catch((thrown: unknown) => {
      throw new UsageError(`--certificate: ${reasonOf(thrown)}`);
    });
    const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
    if (blocks.length === 0) throw new UsageError(`--certificate: ${file} has no certificate`);
    for (const block of blocks) pins.push({ ...pinned(block, file), node });
  }
  for (const text of fingerprint) {
    const normal = normaliseFingerprint(text);
    if (!/^[0-9a-f]{64}$/.test(normal)) throw new UsageError(`--fingerprint: ${text} is no SHA-256 in hex`);
    pins.push({ fingerprint: normal, pem: null, node: null });
  }
  return pins;
}

function pinned(pem: string, file: string): { fingerprint: string; pem: string } {
  try {
    return pinCertificate(pem);
  } catch (thrown) {
    throw new UsageError(`--certificate: ${file}: ${reasonOf(thrown)}`);
  }
}

/** Everything that this node itself knows: its own certificate, and its peers'. */
async function ownPins({ knex }: Database, settings: Settings): Promise<PinnedCertificate[]> {
  const { fingerprint, certificate: pem } = await loadIdentity(settings);
  const peers = (await listPeers(knex)).flatMap(({ url: node, certificates }) =>
    node === null ? [] : certificates.map((one) => ({ fingerprint: one.fingerprint, pem: one.pem, node })),
  );
  return [{ fingerprint, pem, node: settings.root_url }, ...peers];
}

async function ofDatabase(
  given: readonly PinnedCertificate[],
  options: LogVerifyOptions,
  terminal: Terminal,
): Promise<Verification> {
  return await withDatabase(options, terminal, async (database, settings) => {
    const identity = await loadIdentity(settings);
    const certificate = { fingerprint: identity.fingerprint, pem: identity.certificate };
    const { root_url: node, name } = settings;
    const now = new Date();
    async function* records(): AsyncGenerator<ReadRecord> {
      for await (const record of exportRecords(database.knex, { node, name, certificate, now }))
        yield { record };
    }
    const source: LogSource = { name: 'own database', signed: false, records };
    const trust = new Trust([...(await ownPins(database, settings)), ...given]);
    return await verifyLogs([source], trust, { leewayMilliseconds: options.leeway * 1000 });
  });
}

/** Offline when certificates are given; else the own node says whom it knows. */
async function ofFiles(
  files: readonly string[],
  given: readonly PinnedCertificate[],
  options: LogVerifyOptions,
  terminal: Terminal,
): Promise<Verification> {
  const pins = given.length > 0 ? given : await pinsOfNode(options, terminal);
  const sources = files.map(
    (file): LogSource => ({ name: basename(file), signed: true, records: () => readFileRecords(file) }),
  );
  return await verifyLogs(sources, new Trust(pins), { leewayMilliseconds: options.leeway * 1000 });
}

async function* readFileRecords(file: string): AsyncGenerator<ReadRecord> {
  try {
    yield* readExport(file);
  } catch (thrown) {
    if (thrown instanceof UnusableExport) throw new UnusableExport(`${file}: ${thrown.message}`);
    if ((thrown as NodeJS.ErrnoException).syscall !== undefined)
      throw new UsageError(`${file} cannot be read: ${reasonOf(thrown)}`);
    throw thrown;
  }
}

/** Without settings there is no node here: nothing is pinned, and the verdict says so. */
async function pinsOfNode(options: LogVerifyOptions, terminal: Terminal): Promise<PinnedCertificate[]> {
  try {
    return await withDatabase(options, terminal, ownPins);
  } catch (thrown) {
    if (
      options.settings === undefined &&
      thrown instanceof ConclaveError &&
      thrown.code === 'invalid_settings'
    )
      return [];
    throw thrown;
  }
}

function show({ verdict, logs, findings, count, notes }: Verification, terminal: Terminal): void {
  for (const log of logs) {
    const what = log.election === null ? '' : `, of election ${log.election}`;
    terminal.out(
      harmless(
        `${log.log}: the log of ${log.name} (${log.node})${what}: ${log.blocks} blocks, ${log.entries} entries, ${log.messages} messages`,
      ),
    );
    for (const { fingerprint, subject, pinned: known } of log.signers)
      terminal.out(
        harmless(`  signed by ${subject ?? 'an unknown key'} ${fingerprint}${known ? '' : ' (not pinned)'}`),
      );
  }
  for (const { log, text } of notes) terminal.out(harmless(`note: ${log}: ${text}`));
  for (const { code, log, block, entry, text } of findings) {
    const place =
      block === undefined ? '' : `, block ${block}${entry === undefined ? '' : `, entry ${entry}`}`;
    terminal.out(`${terminal.paint('red', code)} ${harmless(`${log}${place}: ${text} (${FINDINGS[code]})`)}`);
  }
  if (count > findings.length) terminal.out(`and ${count - findings.length} more findings`);
  terminal.out(conclusion(verdict, count, terminal));
}

function conclusion(verdict: Verification['verdict'], count: number, terminal: Terminal): string {
  if (verdict === 'valid') return terminal.paint('green', 'VALID: nothing was removed, inserted or changed.');
  if (verdict === 'unpinned')
    return terminal.paint(
      'yellow',
      "CONSISTENT IN ITSELF; signer's certificate not pinned: give it with --certificate, or compare its fingerprint and give that with --fingerprint.",
    );
  return terminal.paint('red', `INVALID: ${count} ${count === 1 ? 'finding' : 'findings'}.`);
}
