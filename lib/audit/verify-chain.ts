/**
 * Checks one log from its first record to its last (D24): blocks in their order, each on top of the one before, each
 * signed; entries and messages as they were sealed; and the export as a whole. Streams. Pure.
 */
import { headerHash, NO_PREVIOUS, parseHeader } from './block.ts';
import type { LogEntry } from './entries.ts';
import type { ReadRecord } from './export-file.ts';
import {
  type ExportBlock,
  type ExportEnd,
  type ExportHead,
  type ExportHeader,
  endStatement,
  UnusableExport,
} from './export-format.ts';
import { BlockCheck, type Report } from './verify-block.ts';
import type { FindingCode, Findings } from './verify-findings.ts';
import type { Trust } from './verify-trust.ts';

export interface LogSource {
  /** Name of the file, or `own database`. */
  readonly name: string;
  /** A file has an end, which is signed; a database has none. */
  readonly signed: boolean;
  records(): AsyncIterable<ReadRecord>;
}

/** What hears of everything that a log says, in its order. */
export interface LogListener {
  header?(header: ExportHeader): void;
  block?(block: { number: number; hash: string; date: string | null }): void;
  entry?(entry: LogEntry, block: number, at: number): void;
  head?(head: ExportHead): void;
}

export interface LogSummary {
  readonly log: string;
  readonly node: string;
  readonly name: string;
  readonly election: string | null;
  readonly exported: string;
  readonly from: number;
  readonly to: number;
  readonly last: number;
  readonly blocks: number;
  readonly entries: number;
  readonly messages: number;
  /** When the last block was sealed; null: there is none. */
  readonly lastDate: string | null;
  readonly firstDate: string | null;
  readonly signers: readonly { fingerprint: string; subject: string | null; pinned: boolean }[];
}

/** @throws UnusableExport for what is no export */
export async function verifyLog(
  source: LogSource,
  trust: Trust,
  findings: Findings,
  listener: LogListener,
): Promise<LogSummary> {
  const check = new ChainCheck(source, trust, findings, listener);
  for await (const read of source.records()) check.take(read);
  return check.finish();
}

class ChainCheck {
  readonly #source: LogSource;
  readonly #trust: Trust;
  readonly #findings: Findings;
  readonly #listener: LogListener;
  #header: ExportHeader | null = null;
  #block: BlockCheck | null = null;
  #number = 0;
  #previous: { number: number; hash: string; sound: boolean } | null = null;
  #ended = false;
  #inHeads = false;
  #counts = { blocks: 0, entries: 0, messages: 0 };
  #dates: [string | null, string | null] = [null, null];
  readonly #signers = new Map<string, boolean>();

  constructor(source: LogSource, trust: Trust, findings: Findings, listener: LogListener) {
    this.#source = source;
    this.#trust = trust;
    this.#findings = findings;
    this.#listener = listener;
  }

  take({ record, before }: ReadRecord): void {
    if (this.#ended) throw new UnusableExport('something follows its end');
    if (this.#header === null) {
      if (record.type !== 'header') throw new UnusableExport('line 1: it is no export of a log');
      this.#begin(record);
      return;
    }
    switch (record.type) {
      case 'header':
        throw new UnusableExport('it has two headers');
      case 'block':
        this.#nextBlock(record);
        return;
      case 'entry': {
        const entry = this.#current(record.block).entry(record);
        this.#counts.entries += 1;
        if (entry !== null) this.#listener.entry?.(entry, record.block, record.at);
        return;
      }
      case 'message':
        this.#counts.messages += 1;
        this.#current(record.block).message(record);
        return;
      case 'head':
        this.#closeBlock();
        this.#inHeads = true;
        this.#listener.head?.(record);
        return;
      case 'end':
        this.#end(record, before!);
    }
  }

  #begin(header: ExportHeader): void {
    this.#header = header;
    for (const { pem } of header.certificates) this.#trust.learn(pem);
    for (const { certificates } of header.peers) for (const { pem } of certificates) this.#trust.learn(pem);
    this.#listener.header?.(header);
    if (header.from > 1) this.#note(`it begins with block ${header.from}: what was before is not shown`);
    if (header.to < header.last)
      this.#note(`it ends with block ${header.to} of ${header.last}: what came after is not shown`);
  }

  #current(block: number): BlockCheck {
    if (this.#block === null || block !== this.#number || this.#inHeads)
      throw new UnusableExport(`something of block ${block} is not behind that block`);
    return this.#block;
  }

  #nextBlock(block: ExportBlock): void {
    if (this.#inHeads) throw new UnusableExport('a block comes after the heads');
    this.#closeBlock();
    const { node, election } = this.#header!;
    const report = this.#reporter(block.number);
    const parsed = parseHeader(block.header);
    const hash = headerHash(block.header);
    this.#place(block.number, parsed?.number);
    if (parsed === null) report('edited_block', 'its header is not in canonical form');
    else if (parsed.number !== block.number)
      report('reordered_block', `it has the header of block ${parsed.number}`);
    if (hash !== block.hash) report('edited_block', 'its hash is not that of its header');
    if (parsed !== null && parsed.node !== node) report('wrong_node', `it is of the log of ${parsed.node}`);
    const sound = parsed !== null && this.#signature(block, hash, parsed, report);
    this.#link(block.number, parsed?.previous ?? null, sound);
    this.#previous = { number: block.number, hash, sound };
    this.#number = block.number;
    this.#counts.blocks += 1;
    this.#dates = [this.#dates[0] ?? parsed?.date ?? null, parsed?.date ?? this.#dates[1]];
    this.#listener.block?.({ number: block.number, hash, date: parsed?.date ?? null });
    this.#block = new BlockCheck(block, parsed, election !== null, report);
  }

  /** Numbers go up one by one. */
  #place(number: number, inHeader: number | undefined): void {
    const expected = (this.#previous?.number ?? this.#header!.from - 1) + 1;
    if (number === expected) return;
    if (number < expected) {
      const code = number === expected - 1 ? 'inserted_block' : 'reordered_block';
      this.#report(code, number, `it comes after block ${expected - 1}`);
    } else if (inHeader === expected) {
      // Its own header says where it belongs; who reads on will say the rest.
    } else this.#removed(expected, number - 1);
  }

  #removed(from: number, to: number): void {
    const which = from === to ? `block ${from} is missing` : `blocks ${from} to ${to} are missing`;
    this.#report('removed_block', from, which);
  }

  #signature(
    { signature }: ExportBlock,
    hash: string,
    parsed: { node: string; number: number; certificate: string },
    report: Report,
  ): boolean {
    const { node, number, certificate } = parsed;
    const verdict = this.#trust.head({ node, number, hash, certificate, signature });
    this.#signer(certificate, verdict === 'pinned');
    if (verdict === 'bad') report('bad_signature', `it is not of the key of the certificate ${certificate}`);
    else if (verdict === 'unknown' || (verdict === 'unpinned' && this.#trust.knows(node)))
      report('unknown_certificate', `it is signed with the certificate ${certificate}`);
    return verdict === 'pinned' || verdict === 'unpinned';
  }

  #link(number: number, previous: string | null, sound: boolean): void {
    const before = this.#previous;
    if (before === null) {
      if (number === 1 && previous !== null && previous !== NO_PREVIOUS)
        this.#report('removed_block', 0, 'the first block follows another that is missing');
      return;
    }
    if (before.number !== number - 1 || previous === null || previous === before.hash) return;
    const text = `it does not follow block ${before.number} as it is here`;
    // Both are signed: whoever has the key has written two logs.
    this.#report(sound && before.sound ? 'forked' : 'edited_block', number, text);
  }

  #closeBlock(): void {
    this.#block?.end();
    this.#block = null;
  }

  #end(end: ExportEnd, before: { lines: number; sha256: string }): void {
    this.#closeBlock();
    this.#ended = true;
    const { node } = this.#header!;
    if (end.lines !== before.lines || end.sha256 !== before.sha256)
      this.#report('edited_export', null, 'it is not what was signed when it was made');
    const statement = endStatement(node, end);
    const verdict = this.#trust.statement(end.certificate, node, end.signature, statement);
    this.#signer(end.certificate, verdict === 'pinned');
    if (verdict === 'bad') this.#report('bad_signature', null, 'of the export as a whole');
    else if (verdict === 'unknown' || (verdict === 'unpinned' && this.#trust.knows(node)))
      this.#report(
        'unknown_certificate',
        null,
        `the export is signed with the certificate ${end.certificate}`,
      );
  }

  finish(): LogSummary {
    if (this.#header === null) throw new UnusableExport('it is empty, or its first line does not end');
    this.#closeBlock();
    const { node, name, election, exported, from, to, last } = this.#header;
    const [firstDate, lastDate] = this.#dates;
    if (this.#source.signed && !this.#ended)
      this.#report('truncated', null, 'the end of the export is missing');
    const reached = this.#previous?.number ?? from - 1;
    if (reached < to) this.#removed(reached + 1, to);
    else if (reached > Math.max(to, from - 1))
      this.#report('inserted_block', reached, `the log ended with block ${to}`);
    const signers = [...this.#signers].map(([fingerprint, pinned]) => ({
      ...{ fingerprint, pinned, subject: this.#trust.subjectOf(fingerprint) },
    }));
    const log = this.#source.name;
    return {
      log,
      node,
      name,
      election,
      exported,
      from,
      to,
      last,
      ...this.#counts,
      firstDate,
      lastDate,
      signers,
    };
  }

  #signer(fingerprint: string, pinned: boolean): void {
    this.#signers.set(fingerprint, pinned || (this.#signers.get(fingerprint) ?? false));
  }

  #reporter(block: number): Report {
    const { name: log } = this.#source;
    return (code, text, place = {}) => this.#findings.add({ code, log, text, block, ...place });
  }

  #report(code: FindingCode, block: number | null, text: string): void {
    const { name: log } = this.#source;
    this.#findings.add({ code, log, text, ...(block === null ? {} : { block }) });
  }

  #note(text: string): void {
    this.#findings.note(this.#source.name, text);
  }
}
