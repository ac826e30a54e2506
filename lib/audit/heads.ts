/**
 * Heads of peers' logs (D24). Nodes tell each other the last block that they have sealed, with every batch of messages.
 * Who keeps the heads of others can later show that a log was cut off, rewritten, or told differently to different
 * peers: each head is signed. Some are entered into the own log, which ties the logs together.
 *
 *     head received ──▶ signature by a pinned certificate? ──no──▶ logged, not kept
 *                          │ yes
 *                          ├─ another hash under a number that we know ──▶ a fork: both are kept and entered for good
 *                          ├─ older than what it told us a minute ago  ──▶ entered, with what it told before
 *                          └─ newer ──▶ kept as the latest; one a minute is entered
 */
import type { Clock } from '../engine/clock.ts';
import { reasonOf } from '../errors.ts';
import { type Json, parseJson } from '../json.ts';
import { type HeadCertificate, type SignatureCheck, type SignedHead, signedHeadSchema } from './block.ts';
import { headLine } from './entries.ts';
import type { KeptHead, TrailStore } from './trail.ts';

/** Longest text of a head; it travels in a header of HTTP. */
export const MAX_HEAD_CHARACTERS = 4096;
const ENTER_MILLISECONDS = 60_000;
const KEEP_MILLISECONDS = 1000;

export interface HeadsLog {
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** A peer whose head was received. */
export interface HeadOwner {
  readonly id: string;
  readonly name: string;
  readonly url: string | null;
  readonly certificates: readonly { readonly pem: string; readonly fingerprint: string }[];
}

export interface HeadKeeperOptions {
  readonly store: Pick<TrailStore, 'headsOf' | 'keepHead'>;
  readonly clock: Pick<Clock, 'now'>;
  readonly check: SignatureCheck;
  readonly log: HeadsLog;
}

interface LastSeen {
  readonly hash: string;
  readonly keptAt: number;
  readonly enteredAt: number;
}

export class HeadKeeper {
  readonly #options: HeadKeeperOptions;
  readonly #seen = new Map<string, LastSeen>();
  /** One at a time: a head is compared with what was kept before. */
  #queue: Promise<void> = Promise.resolve();
  #waiting = 0;

  constructor(options: HeadKeeperOptions) {
    this.#options = options;
  }

  /** A peer has told its head. Never waits, and never throws: messages do not depend on it. */
  received(peer: HeadOwner, text: string): void {
    const seen = this.#seen.get(peer.id);
    // Heads come with every batch, and most say what the one before said, or come within the same second.
    if (seen !== undefined && (text.includes(seen.hash) || this.#now() - seen.keptAt < KEEP_MILLISECONDS))
      return;
    if (this.#waiting > 0) return;
    this.#waiting += 1;
    this.#queue = this.#take(peer, text)
      .catch((thrown: unknown) =>
        this.#options.log.warn(
          { event: 'head_unkept', peer: peer.name, reason: reasonOf(thrown) },
          "the head of a peer's log could not be kept; the next will be",
        ),
      )
      .finally(() => {
        this.#waiting -= 1;
      });
  }

  /** Resolves when what was received is kept. */
  idle(): Promise<void> {
    return this.#queue;
  }

  async #take(peer: HeadOwner, text: string): Promise<void> {
    const head = parseHead(text);
    const certificate = head && peer.certificates.find(({ fingerprint }) => fingerprint === head.certificate);
    if (!head || !certificate || head.node !== peer.url || !this.#signed(certificate, head)) {
      this.#options.log.warn(
        { event: 'head_refused', peer: peer.name },
        "a peer told a head of its log that is not signed with its certificate's key",
      );
      this.#remember(peer, head?.hash ?? '', false);
      return;
    }
    await this.#keep(peer, head, certificate.pem);
  }

  async #keep(peer: HeadOwner, head: SignedHead, pem: string): Promise<void> {
    const { store } = this.#options;
    const known = await store.headsOf(peer.id, [head.number]);
    const same = known.filter(({ number }) => number === head.number);
    const other = same.find(({ hash }) => hash !== head.hash);
    const newest = known.at(-1);
    const now = this.#options.clock.now();
    const kept = { ...head, peerId: peer.id, pem, firstSeen: now };
    if (other !== undefined && !same.some(({ hash }) => hash === head.hash)) {
      await this.#fork(peer, kept, other, now);
    } else if (other === undefined && newest !== undefined && head.number < newest.number) {
      await this.#wentBack(peer, kept, newest, now);
    } else if (same.length === 0) {
      const enter = now.getTime() - (this.#seen.get(peer.id)?.enteredAt ?? 0) >= ENTER_MILLISECONDS;
      const lines = enter ? [headLine('peer_head', fields(head, peer), now)] : [];
      await store.keepHead({ ...kept, kept: enter ? 'entered' : 'latest' }, lines);
      return this.#remember(peer, head.hash, enter);
    }
    this.#remember(peer, head.hash, false);
  }

  async #fork(peer: HeadOwner, head: Omit<KeptHead, 'kept'>, other: KeptHead, now: Date): Promise<void> {
    const entry = { ...fields(head, peer), other: fields(other, peer) };
    await this.#options.store.keepHead({ ...head, kept: 'fork' }, [headLine('fork', entry, now)]);
    this.#options.log.error(
      { event: 'log_forked', peer: peer.name, number: head.number },
      'a peer has signed two different logs; both heads are kept as evidence',
    );
  }

  /** Requests overtake one another, for moments; a log that is shorter than it was long ago has lost something. */
  async #wentBack(peer: HeadOwner, head: Omit<KeptHead, 'kept'>, newest: KeptHead, now: Date): Promise<void> {
    if (now.getTime() - newest.firstSeen.getTime() < ENTER_MILLISECONDS) return;
    const entry = { ...fields(head, peer), before: fields(newest, peer) };
    await this.#options.store.keepHead({ ...head, kept: 'entered' }, [headLine('peer_head', entry, now)]);
    this.#options.log.error(
      { event: 'log_went_back', peer: peer.name, number: head.number, before: newest.number },
      "a peer's log is shorter than it was: it was cut off, or its database restored",
    );
  }

  #signed(certificate: HeadCertificate, head: SignedHead): boolean {
    try {
      return this.#options.check(certificate, head);
    } catch {
      return false;
    }
  }

  #remember({ id }: HeadOwner, hash: string, entered: boolean): void {
    const enteredAt = entered ? this.#now() : (this.#seen.get(id)?.enteredAt ?? 0);
    this.#seen.set(id, { hash, keptAt: this.#now(), enteredAt });
  }

  #now(): number {
    return this.#options.clock.now().getTime();
  }
}

function parseHead(text: string): SignedHead | null {
  if (text.length > MAX_HEAD_CHARACTERS) return null;
  try {
    const parsed = signedHeadSchema.safeParse(parseJson(Buffer.from(text), 2));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}

function fields({ number, hash, signature, certificate }: SignedHead, peer: HeadOwner): Record<string, Json> {
  return { peer: peer.id, node: peer.url, number, hash, signature, certificate };
}
