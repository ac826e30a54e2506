/**
 * A session by the programs of Verificatum 3.1.0 in place of our own mix-net (D44): `vmni` for information files, `vmn`
 * for key generation, shuffling and decryption, `vmnc` for formats, `vmnv` for verification.
 *
 * Each session has a folder of its own, in which the programs keep their state (`dir/`). The programs of the parties
 * talk to each other directly, over the addresses in protInfo.xml, and must run at the same time. What `vmnv` accepts
 * is not enough to be believed (docs/mix-net.md): its caller runs our verifier over `proofDirectory` as well.
 */
import { join } from 'node:path';
import { type ProgramRun, runProgram } from './program.ts';

/** Where the programs are, and how long a step may take in wall time. */
export interface VerificatumSettings {
  readonly programs: Readonly<Record<'vmn' | 'vmni' | 'vmnc' | 'vmnv', string>>;
  readonly timeoutSeconds: Readonly<Record<'convert' | 'keygen' | 'mix' | 'verify', number>>;
}

export const defaultVerificatumSettings: VerificatumSettings = {
  programs: { vmn: 'vmn', vmni: 'vmni', vmnc: 'vmnc', vmnv: 'vmnv' },
  timeoutSeconds: { convert: 600, keygen: 600, mix: 18_000, verify: 18_000 },
};

export interface StepOptions {
  readonly signal?: AbortSignal;
  readonly onLine?: (line: string) => void;
}

/** What all parties agree on before they exist. */
export interface ProtocolParameters {
  /** Letters and digits, beginning with a letter. */
  readonly sid: string;
  readonly name: string;
  readonly parties: number;
  readonly threshold: number;
  /** Verificatum's group string; its default if left out. */
  readonly pgroup?: string;
}

export interface PartyParameters {
  readonly name: string;
  /** Address of the party's server, `http://host:port`. */
  readonly http: string;
  /** Address of its hint server, `host:port`. */
  readonly hint: string;
}

export interface SessionNames {
  /** Letters, digits and underscores; `default` if left out. */
  readonly auxsid?: string;
  readonly width?: number;
}

export type ExternalSessionType = 'mixing' | 'shuffling' | 'decryption';

/** What `vmn` prints before it waits for ever (EO-26, EO-37). */
const fatalLines = ['Unable to download signature!', 'Invalid socket address!', 'Exception in thread "main"'];
/** What `vmnv` prints about a proof that it does not refuse by its exit code. */
const unbelievedLines = ['Too few proofs are valid', '... failed'];
const verifiedLines = ['Completed verification after', 'Verification completed SUCCESSFULLY after'];

const files = {
  stub: 'stub.xml',
  local: 'localProtInfo.xml',
  privInfo: 'privInfo.xml',
  protInfo: 'protInfo.xml',
} as const;

export class VerificatumSession {
  readonly folder: string;
  readonly #settings: VerificatumSettings;

  /** `folder` exists and belongs to this session and party alone. */
  constructor(folder: string, settings: VerificatumSettings = defaultVerificatumSettings) {
    this.folder = folder;
    this.#settings = settings;
  }

  /** Where `vmn` leaves the proof of a session. */
  proofDirectory(auxsid = 'default'): string {
    return join(this.folder, 'dir', 'nizkp', checkedAuxsid(auxsid));
  }

  /** Writes stub.xml. */
  async createStub(parameters: ProtocolParameters, options: StepOptions = {}): Promise<void> {
    const { sid, name, parties, threshold, pgroup } = parameters;
    if (!/^[A-Za-z][A-Za-z0-9]{1,1023}$/.test(sid)) throw new RangeError('sid: letters and digits only');
    const group = pgroup === undefined ? [] : ['-pgroup', pgroup];
    const numbers = ['-nopart', String(parties), '-thres', String(threshold)];
    const args = ['-prot', '-sid', sid, '-name', plain(name), ...numbers, ...group, files.stub];
    await this.#program('vmni', args, 'convert', options);
  }

  /** From stub.xml: privInfo.xml, which is secret, and localProtInfo.xml, which the others need. */
  async createParty({ name, http, hint }: PartyParameters, options: StepOptions = {}): Promise<void> {
    const own = ['-name', plain(name), '-http', plain(http), '-hint', plain(hint)];
    const args = ['-party', ...own, files.stub, files.privInfo, files.local];
    await this.#program('vmni', args, 'convert', options);
  }

  /** All parties' local files, in order, into protInfo.xml; the names are relative to the folder. */
  async merge(locals: readonly string[], options: StepOptions = {}): Promise<void> {
    await this.#program('vmni', ['-merge', ...locals.map(checkedName), files.protInfo], 'convert', options);
  }

  /** Distributed key generation. Writes the public key, raw, to `publicKey`. */
  async generateKey(publicKey: string, options: StepOptions = {}): Promise<void> {
    const args = ['-keygen', files.privInfo, files.protInfo, checkedName(publicKey)];
    await this.#program('vmn', args, 'keygen', options);
  }

  /** A raw public key in another format. */
  async exportPublicKey(
    from: string,
    to: string,
    format: 'json' | 'native' | 'seqjson',
    options: StepOptions = {},
  ): Promise<void> {
    await this.#convert(['-pkey', '-outi', format], from, to, options);
  }

  /** Ciphertexts of another format, raw. */
  async importCiphertexts(
    from: string,
    to: string,
    format: 'json' | 'native' | 'seqjson',
    options: StepOptions & Pick<SessionNames, 'width'> = {},
  ): Promise<void> {
    await this.#convert(['-ciphs', '-ini', format, ...widthArgs(options.width)], from, to, options);
  }

  /** Raw plaintexts in another format. */
  async exportPlaintexts(
    from: string,
    to: string,
    format: 'json' | 'native' | 'seqjson',
    options: StepOptions & Pick<SessionNames, 'width'> = {},
  ): Promise<void> {
    await this.#convert(['-plain', '-outi', format, ...widthArgs(options.width)], from, to, options);
  }

  /** Before the ballots are known: commitments for at most `maxciph` ciphertexts. */
  async precompute(maxciph: number, session: SessionNames = {}, options: StepOptions = {}): Promise<void> {
    const args = [
      '-precomp',
      ...sessionArgs(session),
      '-maxciph',
      String(maxciph),
      files.privInfo,
      files.protInfo,
    ];
    await this.#program('vmn', args, 'mix', options);
  }

  /** Shuffles and decrypts, shuffles only, or decrypts only: from and to raw files in the folder. */
  async run(
    type: ExternalSessionType,
    from: string,
    to: string,
    session: SessionNames = {},
    options: StepOptions = {},
  ): Promise<void> {
    const step = { mixing: '-mix', shuffling: '-shuffle', decryption: '-decrypt' }[type];
    const args = [
      step,
      ...sessionArgs(session),
      files.privInfo,
      files.protInfo,
      checkedName(from),
      checkedName(to),
    ];
    await this.#program('vmn', args, 'mix', options);
  }

  /** Forgets a session, so that its name can be used again. */
  async delete(session: Pick<SessionNames, 'auxsid'> = {}, options: StepOptions = {}): Promise<void> {
    const args = ['-delete', '-f', ...sessionArgs(session), files.privInfo, files.protInfo];
    await this.#program('vmn', args, 'convert', options);
  }

  /** Runs Verificatum's own verifier over the proof; refuses what it only mentions, too. */
  async verify(
    type: ExternalSessionType,
    session: SessionNames = {},
    options: StepOptions = {},
  ): Promise<void> {
    const step = { mixing: '-mix', shuffling: '-shuffle', decryption: '-decrypt' }[type];
    const args = [step, '-v', ...sessionArgs(session), files.protInfo, this.proofDirectory(session.auxsid)];
    const lines = { fatal: [...fatalLines, ...unbelievedLines], success: verifiedLines };
    await this.#program('vmnv', args, 'verify', options, lines);
  }

  async #convert(how: readonly string[], from: string, to: string, options: StepOptions): Promise<void> {
    const args = [...how, files.protInfo, checkedName(from), checkedName(to)];
    await this.#program('vmnc', args, 'convert', options);
  }

  async #program(
    name: keyof VerificatumSettings['programs'],
    args: readonly string[],
    step: keyof VerificatumSettings['timeoutSeconds'],
    { signal, onLine }: StepOptions,
    lines: Pick<ProgramRun, 'fatal' | 'success'> = { fatal: fatalLines },
  ): Promise<void> {
    await runProgram({
      name,
      path: this.#settings.programs[name],
      args,
      cwd: this.folder,
      timeoutSeconds: this.#settings.timeoutSeconds[step],
      ...lines,
      ...(signal === undefined ? {} : { signal }),
      ...(onLine === undefined ? {} : { onLine }),
    });
  }
}

function sessionArgs({ auxsid, width }: SessionNames): string[] {
  const name = auxsid === undefined ? [] : ['-auxsid', checkedAuxsid(auxsid)];
  return [...name, ...widthArgs(width)];
}

const widthArgs = (width: number | undefined): string[] =>
  width === undefined ? [] : ['-width', String(width)];

function checkedAuxsid(auxsid: string): string {
  if (!/^[A-Za-z0-9_]{1,1024}$/.test(auxsid))
    throw new RangeError('auxsid: letters, digits and underscores only');
  return auxsid;
}

/** A file in the session's folder; what could be taken for an option or lead elsewhere is a mistake of the caller. */
function checkedName(name: string): string {
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}$/.test(name))
    throw new RangeError(`no file name: ${JSON.stringify(name)}`);
  return name;
}

/** A value that cannot be taken for an option. */
function plain(value: string): string {
  if (value === '' || value.startsWith('-') || /\p{Cc}/u.test(value)) {
    throw new RangeError(`no value for an option: ${JSON.stringify(value)}`);
  }
  return value;
}
