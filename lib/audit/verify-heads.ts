/**
 * Heads that nodes have kept of one another, against the logs themselves (D24): a head is signed, so who signed it and
 * shows another log, or a shorter one, is found out. A head that nobody pinned has signed proves nothing. Pure.
 */
import type { SignedHead } from './block.ts';
import type { LogSource, LogSummary } from './verify-chain.ts';
import type { Findings } from './verify-findings.ts';
import type { Trust } from './verify-trust.ts';

export interface ClaimedHead extends SignedHead {
  /** Whose log has it, and when it was seen there. */
  readonly log: string;
  readonly seen: string;
}

export class HeadChecks {
  readonly #trust: Trust;
  readonly #findings: Findings;
  /** By node, then by number. */
  readonly #heads = new Map<string, Map<number, ClaimedHead[]>>();

  constructor(trust: Trust, findings: Findings) {
    this.#trust = trust;
    this.#findings = findings;
  }

  claim(head: ClaimedHead): void {
    const byNumber = this.#heads.get(head.node) ?? new Map<number, ClaimedHead[]>();
    this.#heads.set(head.node, byNumber);
    const same = byNumber.get(head.number) ?? [];
    if (same.some(({ hash, signature }) => hash === head.hash && signature === head.signature)) return;
    byNumber.set(head.number, [...same, head]);
  }

  /** Reads the logs once more, where heads of them were kept. */
  async check(sources: readonly LogSource[], logs: readonly LogSummary[], leeway: number): Promise<void> {
    for (const [node, byNumber] of this.#heads) {
      this.#believed(node, byNumber);
      this.#forks(node, byNumber);
      for (const [index, summary] of logs.entries()) {
        if (summary.node !== node) continue;
        await this.#against(sources[index]!, summary, byNumber);
        this.#beyond(summary, byNumber, leeway);
      }
    }
  }

  /** Leaves what proves nothing out. */
  #believed(node: string, byNumber: Map<number, ClaimedHead[]>): void {
    for (const [number, heads] of byNumber) {
      const believed = heads.filter((head) => {
        const verdict = this.#trust.head(head);
        if (verdict === 'bad')
          this.#findings.add({
            ...{ code: 'bad_signature', log: head.log },
            text: `the head ${number} that it keeps of ${node} is not signed by the key that it names`,
          });
        else if (verdict !== 'pinned')
          this.#findings.note(head.log, `heads of ${node} are kept whose certificate is not pinned`);
        return verdict === 'pinned';
      });
      byNumber.set(number, believed);
    }
  }

  #forks(node: string, byNumber: Map<number, ClaimedHead[]>): void {
    for (const [number, heads] of byNumber) {
      const [one, ...others] = heads;
      const other = others.find(({ hash }) => hash !== one!.hash);
      if (other !== undefined)
        this.#findings.add({
          ...{ code: 'forked', log: other.log },
          text: `${node} has signed two blocks with the number ${number}: ${one!.hash} (kept in ${one!.log}) and ${other.hash}`,
        });
    }
  }

  async #against(
    source: LogSource,
    { log, node }: LogSummary,
    byNumber: ReadonlyMap<number, readonly ClaimedHead[]>,
  ): Promise<void> {
    for await (const { record } of source.records()) {
      if (record.type !== 'block') continue;
      const { number, hash } = record;
      const other = byNumber.get(number)?.find((head) => head.hash !== hash);
      if (other !== undefined)
        this.#findings.add({
          ...{ code: 'forked', log, block: number },
          text: `${other.log} keeps another block ${number} that ${node} has signed: ${other.hash}`,
        });
    }
  }

  /** A head that was seen before the export was made is of a block that was there. */
  #beyond(summary: LogSummary, byNumber: ReadonlyMap<number, readonly ClaimedHead[]>, leeway: number): void {
    const later = [...byNumber.values()].flat().filter(({ number }) => number > summary.last);
    if (later.length === 0) return;
    const made = Date.parse(summary.exported);
    const lost = later.filter(({ seen }) => Date.parse(seen) + leeway <= made);
    const [most] = (lost.length > 0 ? lost : later).sort((one, other) => other.number - one.number);
    const { log, last } = summary;
    if (lost.length > 0)
      this.#findings.add({
        ...{ code: 'truncated', log },
        text: `it ends with block ${last}; ${most!.log} keeps the signed head of block ${most!.number}, seen ${most!.seen}`,
      });
    else this.#findings.note(log, `it was made before block ${most!.number}, of which ${most!.log} knows`);
  }
}
