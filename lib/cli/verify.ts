/**
 * `conclave verify PATH`: checks a published tally (archive or unpacked folder) or one proof directory, without a node and
 * without believing anybody. Exit code 0: valid, 1: invalid, 2: the input is nothing that could be verified.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { niUri, parseDigest, parseNiUri } from '../../tasks/election/hash.ts';
import { type TallyStep, type TallyVerification, verifyTally } from '../../tasks/tally/verification.ts';
import { tallySectionOf } from '../../tasks/tally/verification-sections.ts';
import { Refusal } from '../mixnet/refusal.ts';
import { MixnetWorker } from '../mixnet/worker/client.ts';
import type { GlobalOptions } from './node-access.ts';
import { EXIT, type ExitCode, UsageError } from './outcome.ts';
import { printResults } from './results-text.ts';
import { harmless, type Terminal } from './terminal.ts';

interface VerifyOptions extends GlobalOptions {
  testVectors?: boolean;
  protInfo?: string;
  hash?: string;
}

interface Verified extends Omit<TallyVerification, 'authorities'> {
  /** Who made the keys, where the archive shows it. */
  readonly authorities?: TallyVerification['authorities'];
  readonly kind: 'tally' | 'proof directory';
  readonly path: string;
  /** Of an archive: `ni:///sha-256;…`. */
  readonly hash?: string;
}

export function addVerify(program: Command, terminal: Terminal, ended: (code: ExitCode) => void): void {
  program
    .command('verify')
    .argument('<path>', 'tally.tar.gz, its unpacked folder, or one proof directory')
    .description('check a published tally with all its proofs; no node is needed')
    .option('--prot-info <file>', 'protInfo.xml of a proof directory (default: beside it)')
    .option('--hash <hash>', 'hash that the archive must have: as in tally_hash, or tally.tar.gz.sha256')
    .option('--test-vectors', 'of a proof directory: print the intermediate values under Verificatum’s names')
    .addHelpText('after', '\nExit code: 0 valid, 1 invalid, 2 not something that could be verified.')
    .action(async (path: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<VerifyOptions>();
      if (options.testVectors) return ended(await printTestVectors(path, options, terminal));
      const started = performance.now();
      let number = 0;
      const show = (step: TallyStep): void => {
        number += 1;
        if (!options.json) terminal.out(stepLine(number, step, terminal));
      };
      const verified = await verifyPath(path, options, show);
      const seconds = Math.round(performance.now() - started) / 1000;
      if (options.json) terminal.out(JSON.stringify(asJson(verified, seconds), null, 2));
      else conclude(verified, terminal);
      ended(verified.ok ? EXIT.ok : EXIT.failure);
    });
}

/** What `--json` prints; `reason` says why a step is not ok. */
export interface VerifiedJson extends Omit<Verified, 'ok' | 'steps'> {
  readonly valid: boolean;
  readonly steps: readonly { id: string; title: string; ok: boolean; reason?: string }[];
  readonly seconds: number;
}

function asJson({ ok: valid, steps, ...rest }: Verified, seconds: number): VerifiedJson {
  const shown = steps.map(({ id, title, ok, detail }) => ({
    id,
    title,
    ok,
    ...(detail === undefined ? {} : { reason: detail }),
  }));
  return { valid, steps: shown, seconds, ...rest };
}

/** `§ 9` is the section of docs/specification that says what the step checks. */
function stepLine(number: number, { title, section, ok, detail }: TallyStep, terminal: Terminal): string {
  const mark = ok ? terminal.paint('green', 'ok') : terminal.paint('red', 'WRONG');
  const why = detail === undefined ? '' : `\n    ${detail}`;
  return harmless(`${String(number).padStart(3)}. ${title} (§ ${section}) … `) + mark + harmless(why);
}

function conclude(verified: Verified, terminal: Terminal): void {
  terminal.out('');
  terminal.out(
    '§: sections of docs/specification that say what is checked: to 16 verification.md, then tally.md.',
  );
  if (verified.results !== null) printResults(verified.results, terminal);
  if (verified.hash !== undefined) terminal.out(`Hash of the archive: ${verified.hash}`);
  if (verified.authorities) {
    terminal.out(
      'The keys were made by these authorities; compare their certificates with those that you know:',
    );
    for (const { name, url, fingerprint } of verified.authorities) {
      terminal.out(harmless(`  ${name}, ${url}\n    ${fingerprint}`));
    }
  }
  terminal.out(
    verified.ok
      ? terminal.paint('green', `VALID: this ${verified.kind} is what it claims to be.`)
      : terminal.paint('red', `INVALID: this ${verified.kind} must not be believed.`),
  );
}

/** @throws UsageError when the path is nothing that could be verified */
export async function verifyPath(
  given: string,
  options: Pick<VerifyOptions, 'protInfo' | 'hash'>,
  onStep: (step: TallyStep) => void,
): Promise<Verified> {
  const path = resolve(given);
  const entry = await stat(path).catch(() => null);
  if (entry === null) throw new UsageError(`there is nothing at ${path}`);
  const mixnet = new MixnetWorker();
  try {
    if (entry.isFile()) return await verifyArchive(path, options.hash, mixnet, onStep);
    if (options.hash !== undefined)
      throw new UsageError('--hash is that of an archive, and this is a folder');
    if (await exists(join(path, 'results_json'))) {
      return { kind: 'tally', path, ...(await verifyTally(path, { mixnet, onStep })) };
    }
    return await verifyDirectory(path, options.protInfo, mixnet, onStep);
  } finally {
    await mixnet.close();
  }
}

async function verifyArchive(
  path: string,
  expected: string | undefined,
  mixnet: MixnetWorker,
  onStep: (step: TallyStep) => void,
): Promise<Verified> {
  if (!(await isGzip(path))) throw new UsageError(`${path} is neither a tally.tar.gz nor a folder`);
  const sha256 = await digest(path);
  const hash = niUri(sha256);
  if (expected === undefined)
    return { kind: 'tally', path, hash, ...(await verifyTally(path, { mixnet, onStep })) };
  const wanted = parseNiUri(expected) ?? parseDigest(expected);
  if (wanted === undefined) {
    throw new UsageError('--hash must be ni:///sha-256;… or URL-safe base64 of 32 bytes');
  }
  const ok = sha256.equals(wanted);
  const detail = ok ? {} : { detail: `it has the hash ${hash}` };
  const section = tallySectionOf('announced');
  const step = {
    id: 'announced',
    section,
    title: 'The archive is the one with the given hash',
    ok,
    ...detail,
  };
  onStep(step);
  if (!ok) {
    return { kind: 'tally', path, hash, ok, steps: [step], sessions: [], results: null };
  }
  const verification = await verifyTally(path, { mixnet, onStep });
  return { kind: 'tally', path, hash, ...verification, steps: [step, ...verification.steps] };
}

async function verifyDirectory(
  path: string,
  protInfoPath: string | undefined,
  mixnet: MixnetWorker,
  onStep: (step: TallyStep) => void,
): Promise<Verified> {
  const { directory, protInfo, file } = await proofDirectory(path, protInfoPath);
  try {
    const { ok, steps, length = 0 } = await mixnet.run('verifyProofDirectory', { protInfo, directory });
    const shown = steps.map(({ id, section, title, ok: valid, reason, detail }) => ({
      id,
      section,
      title,
      ok: valid,
      ...(valid ? {} : { detail: `${reason}: ${detail}` }),
    }));
    for (const step of shown) onStep(step);
    const sessions = [{ id: directory, title: directory, ok, ciphertexts: length, parties: 0, threshold: 0 }];
    return { kind: 'proof directory', path, ok, steps: shown, sessions, results: null };
  } catch (thrown) {
    if (thrown instanceof Refusal) throw new UsageError(`${file}: ${thrown.message}`);
    throw thrown;
  }
}

/** Intermediate values of a proof directory, one a line, as `vmnv -t` names them. */
async function printTestVectors(
  given: string,
  options: VerifyOptions,
  terminal: Terminal,
): Promise<ExitCode> {
  const { directory, protInfo, file } = await proofDirectory(resolve(given), options.protInfo);
  const mixnet = new MixnetWorker();
  try {
    const { ok, trace } = await mixnet.run('traceProofDirectory', { protInfo, directory });
    if (options.json) terminal.out(JSON.stringify(Object.fromEntries(trace), null, 2));
    else for (const [name, value] of trace) terminal.out(harmless(`${name} = ${value}`));
    return ok ? EXIT.ok : EXIT.failure;
  } catch (thrown) {
    if (thrown instanceof Refusal) throw new UsageError(`${file}: ${thrown.message}`);
    throw thrown;
  } finally {
    await mixnet.close();
  }
}

async function proofDirectory(
  path: string,
  protInfoPath: string | undefined,
): Promise<{ directory: string; protInfo: string; file: string }> {
  const directory = (await exists(join(path, 'proofs', 'type'))) ? join(path, 'proofs') : path;
  if (!(await exists(join(directory, 'type')))) {
    throw new UsageError(`${path} is neither a tally (results_json) nor a proof directory (type, version)`);
  }
  const file = await protInfoOf(directory, protInfoPath);
  return { directory, protInfo: await readFile(file, 'utf8'), file };
}

async function protInfoOf(directory: string, given: string | undefined): Promise<string> {
  const places = given === undefined ? ['../protInfo.xml', 'protInfo.xml'] : [resolve(given)];
  for (const place of places) {
    const file = resolve(directory, place);
    if (await exists(file)) return file;
  }
  throw new UsageError(
    given === undefined
      ? 'there is no protInfo.xml beside the proofs: name it with --prot-info'
      : `--prot-info: there is no file ${given}`,
  );
}

async function digest(path: string): Promise<Buffer> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path) as AsyncIterable<Buffer>) hash.update(piece);
  return hash.digest();
}

async function isGzip(path: string): Promise<boolean> {
  for await (const piece of createReadStream(path, { end: 1 }) as AsyncIterable<Buffer>) {
    return piece[0] === 0x1f && piece[1] === 0x8b;
  }
  return false;
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null;
}
