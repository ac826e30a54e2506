/**
 * Messages of several logs against one another (D24): what one node says it sent, and the other acknowledged, the other
 * must have received, with the same contents; and nothing else. Keeps a few hundred bytes for each message. Pure.
 */

import type { Json } from '../json.ts';
import type { LogEntry } from './entries.ts';
import type { ExportHeader } from './export-format.ts';
import type { LogSummary } from './verify-chain.ts';
import type { Findings } from './verify-findings.ts';

interface Said {
  readonly digest: string;
  readonly peer: string;
  readonly date: number;
  /** Sent: when its receiver has acknowledged it. */
  delivered?: number;
}

interface PeerNames {
  readonly urls: Set<string>;
  readonly certificates: Set<string>;
}

/** What one log says of messages. */
export class LogMessages {
  readonly sent = new Map<string, Said>();
  /** By the peer that it came from and its id: ids are the senders' own. */
  readonly received = new Map<string, Said & { readonly id: string }>();
  readonly #peers = new Map<string, PeerNames>();

  header({ peers }: ExportHeader): void {
    for (const { id, url, certificates } of peers)
      this.#peer(
        id,
        url,
        certificates.map(({ fingerprint }) => fingerprint),
      );
  }

  entry(entry: LogEntry): void {
    const { kind, message, digest, peer, peers, messages, date } = entry;
    const said = { digest: String(digest), peer: String(peer), date: Date.parse(date) };
    const id = String(message);
    if (kind === 'sent') this.sent.set(id, said);
    else if (kind === 'received') this.received.set(`${said.peer} ${id}`, { ...said, id });
    else if (kind === 'delivered' && Array.isArray(messages)) this.#delivered(messages, said.date);
    else if (kind === 'peers' && Array.isArray(peers)) for (const each of peers) this.#known(each);
  }

  #delivered(ids: readonly Json[], date: number): void {
    for (const id of ids) {
      const sent = this.sent.get(String(id));
      if (sent !== undefined) sent.delivered = date;
    }
  }

  #known(peer: Json): void {
    if (typeof peer !== 'object' || peer === null || Array.isArray(peer)) return;
    const { id, url, certificates } = peer;
    const listed = Array.isArray(certificates) ? certificates.map(String) : [];
    this.#peer(String(id), typeof url === 'string' ? url : null, listed);
  }

  #peer(id: string, url: string | null, certificates: readonly string[]): void {
    const known = this.#peers.get(id) ?? { urls: new Set<string>(), certificates: new Set<string>() };
    this.#peers.set(id, known);
    if (url !== null) known.urls.add(url);
    for (const fingerprint of certificates) known.certificates.add(fingerprint);
  }

  /** Ids under which this log speaks of another node. */
  idsOf({ node, signers }: LogSummary): Set<string> {
    const found = [...this.#peers].filter(
      ([, { urls, certificates }]) =>
        urls.has(node) || signers.some(({ fingerprint }) => certificates.has(fingerprint)),
    );
    return new Set(found.map(([id]) => id));
  }
}

export function compareMessages(
  logs: readonly LogSummary[],
  messages: readonly LogMessages[],
  findings: Findings,
  leeway: number,
): void {
  for (const [from, sender] of logs.entries())
    for (const [to, receiver] of logs.entries()) {
      if (sender.node === receiver.node) continue;
      new Comparison(sender, receiver, messages[from]!, messages[to]!, findings, leeway).run();
    }
}

/** From one node to one other. */
class Comparison {
  readonly #sender: LogSummary;
  readonly #receiver: LogSummary;
  readonly #said: LogMessages;
  readonly #heard: LogMessages;
  readonly #findings: Findings;
  readonly #leeway: number;

  constructor(
    sender: LogSummary,
    receiver: LogSummary,
    said: LogMessages,
    heard: LogMessages,
    findings: Findings,
    leeway: number,
  ) {
    this.#sender = sender;
    this.#receiver = receiver;
    this.#said = said;
    this.#heard = heard;
    this.#findings = findings;
    this.#leeway = leeway;
  }

  run(): void {
    const [sender, receiver] = [this.#sender, this.#receiver];
    const theirs = this.#said.idsOf(receiver);
    const ours = this.#heard.idsOf(sender);
    const received = new Map<string, Said>();
    for (const { id, ...said } of this.#heard.received.values())
      if (ours.has(said.peer)) received.set(id, said);
    for (const [id, sent] of this.#said.sent) {
      const there = received.get(id);
      if (there !== undefined && there.digest !== sent.digest)
        this.#found('contents_differ', receiver.log, id, `in ${sender.log} it has another digest`);
      else if (there === undefined && theirs.has(sent.peer) && sent.delivered !== undefined)
        this.#unreceived(id, sent.delivered);
    }
    for (const [id, said] of received) if (!this.#said.sent.has(id)) this.#unsent(id, said);
  }

  #unreceived(id: string, delivered: number): void {
    const { log, node } = this.#receiver;
    if (!shows(this.#receiver, this.#sender)) return;
    if (!covers(this.#receiver, delivered, this.#leeway)) this.#uncovered(log);
    else
      this.#found(
        'sent_never_received',
        this.#sender.log,
        id,
        `${node} has acknowledged it; ${log} has it not`,
      );
  }

  #unsent(id: string, { date }: Said): void {
    const { log, node } = this.#sender;
    if (!shows(this.#sender, this.#receiver)) return;
    if (!covers(this.#sender, date, this.#leeway)) this.#uncovered(log);
    else
      this.#found('received_never_sent', this.#receiver.log, id, `it came from ${node}; ${log} has it not`);
  }

  #uncovered(log: string): void {
    this.#findings.note(log, 'messages at its beginning or end could not be held against the other logs');
  }

  #found(
    code: 'contents_differ' | 'sent_never_received' | 'received_never_sent',
    log: string,
    message: string,
    text: string,
  ): void {
    this.#findings.add({ code, log, text: `message ${message}: ${text}`, message });
  }
}

/** Whether a log shows what another says: an election's export hides what is of no part of it. */
function shows(log: LogSummary, other: LogSummary): boolean {
  return log.election === null || log.election === other.election;
}

/** Whether what happened at a time must be in a log. */
function covers({ from, firstDate, lastDate }: LogSummary, date: number, leeway: number): boolean {
  if (firstDate === null || lastDate === null) return false;
  return date + leeway <= Date.parse(lastDate) && (from === 1 || date - leeway >= Date.parse(firstDate));
}
