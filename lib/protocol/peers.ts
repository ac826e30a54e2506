/**
 * The peer directory: who the peers of this node are, by id, URL and certificate (D22).
 *
 * The table `peers` is the authority; the directory holds a copy in memory, because the server asks it for every
 * request. A change made through this directory counts here before its method returns; one made by another process
 * counts when its `NOTIFY` arrives (`refresh`), at the latest with the next poll. While the database cannot be
 * reached the last copy stays in force.
 */
import { randomUUID } from 'node:crypto';
import type { Knex } from 'knex';
import { type Clock, systemClock } from '../engine/clock.ts';
import { ConclaveError, reasonOf } from '../errors.ts';
import {
  type Dialect,
  deletePeer,
  insertPeer,
  listPeers,
  lockPeersForChange,
  notifyPeersChanged,
  type PeerRole,
  type PeerRow,
  setPeerDialect,
  updatePeer,
} from '../store/peers.ts';
import { normaliseFingerprint, pinCertificate } from './certificate.ts';
import type { Log } from './log.ts';
import { peerNameSchema, peerRolesSchema } from './peer-file.ts';
import { normalisedPeerUrlOrNull, normalisePeerUrl } from './peer-url.ts';

export type Peer = Readonly<PeerRow>;

/** Two certificates overlap while a peer rotates (D22). */
export const MAX_CERTIFICATES = 2;

/** What the outbox sender asks of the directory. */
export type KnownPeers = Pick<PeerDirectory, 'byId' | 'list' | 'refresh' | 'onChange' | 'setDialect'>;

const POLL_MILLISECONDS = 1000;

export interface NewPeer {
  name: string;
  url: string | null;
  /** PEM, one or two. */
  certificates: readonly string[];
  roles: readonly PeerRole[];
  dialect?: Dialect;
}

export interface PeerDirectoryOptions {
  db: Knex;
  log: Log;
  clock?: Clock;
}

/** Written in the transaction of a change: the entry of the audit trail that tells of it (D24). */
type AlsoWritten = (transaction: Knex, peerId: string) => Promise<void>;
const NOTHING: AlsoWritten = async () => {};

export class PeerDirectory {
  readonly #db: Knex;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #listeners = new Set<() => void>();
  #byId = new Map<string, Peer>();
  #byFingerprint = new Map<string, Peer>();
  #byUrl = new Map<string, Peer>();
  #trust = '';
  #reading: Promise<void> | null = null;
  #nextReading: Promise<void> | null = null;
  #cancelPoll: (() => void) | null = null;
  #stopped = false;
  #unreadable = false;

  constructor({ db, log, clock = systemClock }: PeerDirectoryOptions) {
    this.#db = db;
    this.#log = log;
    this.#clock = clock;
  }

  /** Reads the table and begins to poll it. */
  async start(): Promise<void> {
    await this.refresh();
    this.#poll();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelPoll?.();
    await this.#reading?.catch(() => {});
    await this.#nextReading?.catch(() => {});
  }

  list(): Peer[] {
    return [...this.#byId.values()];
  }

  byId(id: string): Peer | undefined {
    return this.#byId.get(id);
  }

  /** `fingerprint` in its plain form: lower-case hex. */
  byFingerprint(fingerprint: string): Peer | undefined {
    return this.#byFingerprint.get(fingerprint);
  }

  /** Any spelling of the URL. */
  byUrl(url: string): Peer | undefined {
    const normalised = normalisedPeerUrlOrNull(url);
    return normalised === null ? undefined : this.#byUrl.get(normalised);
  }

  /** The peer whose server has this URL's scheme, host and port. */
  byOrigin(url: string): Peer | undefined {
    const origin = URL.parse(url)?.origin;
    return this.list().find((peer) => peer.url !== null && new URL(peer.url).origin === origin);
  }

  /** For the command line: a peer by its name, id, URL or fingerprint. Throws `invalid_request`. */
  find(text: string): Peer {
    const found =
      this.list().find(({ name }) => name === text) ??
      this.byId(text) ??
      this.byUrl(text) ??
      this.byFingerprint(normaliseFingerprint(text));
    if (found !== undefined) return found;
    const names = this.list().map(({ name }) => name);
    throw refuse(`there is no peer ${text}; there are: ${names.join(', ') || 'none'}`);
  }

  /** Calls `listener` when peers were added, removed or changed (not when only their health did). */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Reads the table; what was committed before the call counts when it resolves. */
  refresh(): Promise<void> {
    if (this.#reading === null) {
      this.#reading = this.#read().finally(() => {
        this.#reading = null;
      });
      return this.#reading;
    }
    // The reading under way may have begun too early: one more follows it, shared by all who ask meanwhile.
    this.#nextReading ??= this.#reading
      .catch(() => {})
      .then(() => {
        this.#nextReading = null;
        return this.refresh();
      });
    return this.#nextReading;
  }

  /** Throws `invalid_request` when name, URL or a certificate belongs to a peer already. */
  async add(peer: NewPeer, also: AlsoWritten = NOTHING): Promise<Peer> {
    const id = randomUUID();
    const row = { id, ...checked(peer), dialect: peer.dialect ?? 'unknown' };
    return this.#change(id, async (transaction, others) => {
      refuseClash(row, others);
      await insertPeer(transaction, row);
      await also(transaction, id);
    });
  }

  /** Changes name, URL or roles. A new URL is a new server: its dialect is asked for again. */
  async change(id: string, changes: Partial<Pick<NewPeer, 'name' | 'url' | 'roles'>>): Promise<Peer> {
    return this.#edit(id, (peer) => {
      const certificates = peer.certificates.map(({ pem }) => pem);
      const row = { ...peer, ...checked({ ...peer, ...changes, certificates }) };
      return { ...row, dialect: row.url === peer.url ? peer.dialect : 'unknown' };
    });
  }

  /** Begins a rotation: from now on the peer is known by the new certificate too. */
  async addCertificate(id: string, pem: string, also: AlsoWritten = NOTHING): Promise<Peer> {
    const certificate = pinCertificate(pem);
    return this.#edit(
      id,
      (peer) => {
        if (peer.certificates.some(({ fingerprint }) => fingerprint === certificate.fingerprint)) return peer;
        if (peer.certificates.length >= MAX_CERTIFICATES) {
          throw refuse(
            `the peer ${peer.name} has ${MAX_CERTIFICATES} certificates already; remove one first`,
          );
        }
        return { ...peer, certificates: [...peer.certificates, certificate] };
      },
      also,
    );
  }

  /** Ends a rotation. The last certificate of a peer stays: remove the peer instead. */
  async removeCertificate(id: string, fingerprint: string, also: AlsoWritten = NOTHING): Promise<Peer> {
    const plain = normaliseFingerprint(fingerprint);
    return this.#edit(
      id,
      (peer) => {
        const certificates = peer.certificates.filter((certificate) => certificate.fingerprint !== plain);
        if (certificates.length === peer.certificates.length) {
          throw refuse(`the peer ${peer.name} has no certificate with the fingerprint ${plain}`);
        }
        if (certificates.length === 0) throw refuse(`it is the only certificate of the peer ${peer.name}`);
        return { ...peer, certificates };
      },
      also,
    );
  }

  /** False when there was no such peer. Its connections lose access with their next request. */
  async remove(id: string, also: AlsoWritten = NOTHING): Promise<boolean> {
    const removed = await this.#db.transaction(async (transaction) => {
      await notifyPeersChanged(transaction);
      const deleted = await deletePeer(transaction, id);
      if (deleted) await also(transaction, id);
      return deleted;
    });
    await this.refresh();
    return removed;
  }

  async setDialect(id: string, dialect: Dialect): Promise<void> {
    if (this.#byId.get(id)?.dialect === dialect) return;
    await setPeerDialect(this.#db, id, dialect);
    await this.refresh();
  }

  #edit(id: string, edit: (peer: Peer) => Peer, also: AlsoWritten = NOTHING): Promise<Peer> {
    return this.#change(id, async (transaction, peers) => {
      const before = peers.find((peer) => peer.id === id);
      if (before === undefined) throw refuse(`there is no peer with the id ${id}`);
      const after = edit(before);
      refuseClash(
        after,
        peers.filter((peer) => peer.id !== id),
      );
      await updatePeer(transaction, after);
      await also(transaction, id);
    });
  }

  async #change(
    id: string,
    write: (transaction: Knex.Transaction, peers: Peer[]) => Promise<void>,
  ): Promise<Peer> {
    await this.#db.transaction(async (transaction) => {
      await lockPeersForChange(transaction);
      await write(transaction, await listPeers(transaction));
      await notifyPeersChanged(transaction);
    });
    await this.refresh();
    const peer = this.#byId.get(id);
    if (peer === undefined) throw refuse(`the peer with the id ${id} was removed meanwhile`);
    return peer;
  }

  async #read(): Promise<void> {
    const rows = await listPeers(this.#db);
    this.#byId = new Map(rows.map((peer) => [peer.id, peer]));
    this.#byUrl = new Map(rows.flatMap((peer) => (peer.url === null ? [] : [[peer.url, peer]])));
    this.#byFingerprint = new Map(
      rows.flatMap((peer) => peer.certificates.map(({ fingerprint }) => [fingerprint, peer] as const)),
    );
    const trust = JSON.stringify(
      rows.map(({ id, name, url, certificates, roles, dialect }) => [
        id,
        name,
        url,
        certificates,
        roles,
        dialect,
      ]),
    );
    if (trust === this.#trust) return;
    this.#trust = trust;
    for (const listener of this.#listeners) listener();
  }

  #poll(): void {
    if (this.#stopped) return;
    this.#cancelPoll = this.#clock.after(POLL_MILLISECONDS, () => {
      void this.refresh()
        .then(
          () => {
            this.#unreadable = false;
          },
          (reason: unknown) => {
            if (!this.#unreadable) {
              this.#log.warn(
                { event: 'peers_unread', reason: reasonOf(reason) },
                'the peers could not be read; the last known ones stay',
              );
            }
            this.#unreadable = true;
          },
        )
        .then(() => this.#poll());
    });
  }
}

function checked(peer: NewPeer): Pick<PeerRow, 'name' | 'url' | 'certificates' | 'roles'> {
  const problems: string[] = [];
  const name = peerNameSchema.safeParse(peer.name);
  if (!name.success) problems.push(`name: ${name.error.issues[0]?.message}`);
  const roles = peerRolesSchema.safeParse([...peer.roles]);
  if (!roles.success) problems.push(`roles: ${roles.error.issues[0]?.message}`);
  if (peer.certificates.length < 1 || peer.certificates.length > MAX_CERTIFICATES) {
    problems.push(`certificates: there must be one or ${MAX_CERTIFICATES}`);
  }
  if (problems.length > 0) throw new ConclaveError('invalid_request', { problems });
  return {
    name: peer.name,
    url: peer.url === null ? null : normalisePeerUrl(peer.url),
    certificates: peer.certificates.map(pinCertificate),
    roles: [...peer.roles],
  };
}

/** A certificate, a URL or a name means one peer. */
function refuseClash(peer: Pick<PeerRow, 'name' | 'url' | 'certificates'>, others: readonly Peer[]): void {
  const fingerprints = new Set(peer.certificates.map(({ fingerprint }) => fingerprint));
  for (const other of others) {
    if (other.name === peer.name) throw refuse(`there is a peer ${peer.name} already`);
    if (peer.url !== null && other.url === peer.url) {
      throw refuse(`the URL ${peer.url} is that of the peer ${other.name}`);
    }
    const shared = other.certificates.find(({ fingerprint }) => fingerprints.has(fingerprint));
    if (shared !== undefined) {
      throw refuse(`the certificate ${shared.fingerprint} is one of the peer ${other.name}`);
    }
  }
}

function refuse(problem: string): ConclaveError {
  return new ConclaveError('invalid_request', { problems: [problem] });
}
