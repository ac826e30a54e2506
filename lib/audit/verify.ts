/**
 * Verifies logs of one or several nodes (D24): each in itself, then against the heads that the others have kept of it,
 * then their messages against one another. The one judgement: valid, only consistent in itself, or invalid. Pure.
 */
import { signedHeadSchema } from './block.ts';
import type { LogEntry } from './entries.ts';
import type { ExportHeader } from './export-format.ts';
import { type LogSource, type LogSummary, verifyLog } from './verify-chain.ts';
import { type Finding, Findings, type Note } from './verify-findings.ts';
import { type ClaimedHead, HeadChecks } from './verify-heads.ts';
import { compareMessages, LogMessages } from './verify-messages.ts';
import type { Trust } from './verify-trust.ts';

export interface Verification {
  /** `unpinned`: consistent, and signed by keys that nothing but the logs themselves vouch for. */
  readonly verdict: 'valid' | 'unpinned' | 'invalid';
  readonly logs: readonly LogSummary[];
  readonly findings: readonly Finding[];
  /** Of all, also of those that are too many to be listed. */
  readonly count: number;
  readonly notes: readonly Note[];
}

export interface VerificationOptions {
  /** By how much nodes' clocks may differ: what is nearer to the end of another log is not judged. */
  readonly leewayMilliseconds: number;
}

/** @throws UnusableExport */
export async function verifyLogs(
  sources: readonly LogSource[],
  trust: Trust,
  { leewayMilliseconds }: VerificationOptions,
): Promise<Verification> {
  const findings = new Findings();
  const heads = new HeadChecks(trust, findings);
  const logs: LogSummary[] = [];
  const messages: LogMessages[] = [];
  for (const source of sources) {
    const said = new LogMessages();
    let header: ExportHeader | null = null;
    const summary = await verifyLog(source, trust, findings, {
      header: (given) => {
        header = given;
        said.header(given);
      },
      entry: (entry) => {
        if (sources.length > 1) said.entry(entry);
        for (const claim of claims(entry)) heads.claim({ ...claim, log: source.name, seen: entry.date });
      },
      head: (head) => {
        const { number, hash, node, certificate, signature, first_seen } = head;
        heads.claim({ number, hash, node, certificate, signature, log: source.name, seen: first_seen });
      },
    });
    if (header === null) continue;
    logs.push(summary);
    messages.push(said);
  }
  await heads.check(sources, logs, leewayMilliseconds);
  compareMessages(logs, messages, findings, leewayMilliseconds);
  const pinned = logs.every(({ signers }) => signers.every((signer) => signer.pinned));
  return {
    verdict: findings.count > 0 ? 'invalid' : pinned ? 'valid' : 'unpinned',
    logs,
    findings: findings.kept,
    count: findings.count,
    notes: findings.notes,
  };
}

/** Heads of peers that were entered into a log. */
function claims(entry: LogEntry): Omit<ClaimedHead, 'log' | 'seen'>[] {
  if (entry.kind !== 'peer_head' && entry.kind !== 'fork') return [];
  return [entry, entry.other, entry.before].flatMap((value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return [];
    const { number, hash, node, certificate, signature } = value;
    const parsed = signedHeadSchema.safeParse({ number, hash, node, certificate, signature });
    return parsed.success ? [parsed.data] : [];
  });
}
