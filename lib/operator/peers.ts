/**
 * Peers for operators (D22): how the connection to each stands, its certificates in words, and adding, rotating and
 * removing. Nobody is trusted but under the fingerprint that an operator has confirmed.
 */
import type { Knex } from 'knex';
import { ConclaveError, reasonOf } from '../errors.ts';
import { fingerprintOf, parseCertificate, pinCertificate } from '../protocol/certificate.ts';
import { readPeerFile } from '../protocol/peer-file.ts';
import type { Peer } from '../protocol/peers.ts';
import { countMessages } from '../store/counts.ts';
import type { OperatorServices } from './services.ts';
import { dateText, hashView } from './shown.ts';
import type { CertificateView, PeerCheckView, PeerPreview, PeerRole, PeerView } from './views.ts';

const CHECK_MILLISECONDS = 15_000;

export async function peers(services: OperatorServices): Promise<PeerView[]> {
  const [counts, { rows: checks }] = await Promise.all([
    countMessages(services.db),
    services.db.raw<{ rows: { id: string; difference: number | null }[] }>(
      'select peer_id as id, clock_difference_ms as difference from peer_checks',
    ),
  ]);
  return services.peers.list().map((peer) => {
    const count = (state: string): number =>
      counts.find((each) => each.peerId === peer.id && each.state === state)?.count ?? 0;
    return {
      id: peer.id,
      name: peer.name,
      url: peer.url,
      roles: peer.roles,
      dialect: peer.dialect,
      state: stateOf(peer),
      added_date: peer.addedDate.toISOString(),
      last_contact: dateText(peer.lastContact),
      down_since: dateText(peer.downSince),
      next_attempt: dateText(peer.nextAttempt),
      last_error: peer.lastError,
      clock_difference_ms: checks.find(({ id }) => id === peer.id)?.difference ?? null,
      undelivered: count('pending'),
      dead: count('dead'),
      certificates: peer.certificates.map(certificateView),
    };
  });
}

/** @throws ConclaveError `peer_not_found` */
export async function peer(services: OperatorServices, id: string): Promise<PeerView> {
  demandPeer(services, id);
  return (await peers(services)).find((each) => each.id === id)!;
}

function stateOf({ url, downSince, lastContact }: Peer): PeerView['state'] {
  if (downSince !== null) return 'down';
  if (lastContact !== null) return 'up';
  return url === null ? 'calls_only' : 'not_tried';
}

export function certificateView({
  fingerprint,
  not_after,
}: {
  fingerprint: string;
  not_after: string;
}): CertificateView {
  return { fingerprint: hashView(fingerprint), not_after };
}

/** Connects to a peer now, and compares the clocks; what was found is kept. */
export async function checkPeer(services: OperatorServices, id: string): Promise<PeerCheckView> {
  demandPeer(services, id);
  const began = Date.now();
  const found = await services
    .reach(id, AbortSignal.timeout(CHECK_MILLISECONDS))
    .catch((thrown: unknown) => ({
      date: null,
      refusal: reasonOf(thrown),
    }));
  const milliseconds = found.refusal === null ? Date.now() - began : null;
  // The header has whole seconds: half a second is what it says at best.
  const difference =
    found.date === null ? null : Math.round(found.date.getTime() + 500 - (began + Date.now()) / 2);
  const date = new Date();
  await services.db.raw(
    `insert into peer_checks (peer_id, checked_date, milliseconds, clock_difference_ms, problem)
     values (?, ?, ?, ?, ?) on conflict (peer_id) do update set checked_date = excluded.checked_date,
       milliseconds = excluded.milliseconds, problem = excluded.problem,
       clock_difference_ms = coalesce(excluded.clock_difference_ms, peer_checks.clock_difference_ms)`,
    [id, date, milliseconds as number, difference as number, found.refusal as string],
  );
  return {
    id,
    date: date.toISOString(),
    reachable: found.refusal === null,
    milliseconds,
    clock_difference_ms: difference,
    problem: found.refusal,
  };
}

/** This node, as others know it. */
export function self({ node, certificate }: OperatorServices): PeerPreview {
  const { fingerprint, not_after } = pinCertificate(certificate());
  const { name, url } = node;
  return { name, url, roles: ['authority'], fingerprint: hashView(fingerprint), not_after, known_as: null };
}

/** What a peer file or a certificate says. @throws ConclaveError `invalid_request` */
export function previewPeer(services: OperatorServices, file: string): PeerPreview {
  const read = readFile(file);
  const known =
    services.peers.byFingerprint(read.fingerprint) ??
    (read.url === null ? undefined : services.peers.byUrl(read.url));
  return {
    name: read.name,
    url: read.url,
    roles: read.roles,
    fingerprint: hashView(read.fingerprint),
    not_after: pinCertificate(read.certificate).not_after,
    known_as: known?.name ?? null,
  };
}

interface ReadFile {
  readonly name: string | null;
  readonly url: string | null;
  readonly roles: readonly PeerRole[];
  readonly certificate: string;
  readonly fingerprint: string;
}

function readFile(file: string): ReadFile {
  if (file.trimStart().startsWith('{')) return readPeerFile(Buffer.from(file, 'utf8'));
  const { raw } = parseCertificate(file);
  return { name: null, url: null, roles: ['authority'], certificate: file, fingerprint: fingerprintOf(raw) };
}

function confirmed(file: string, fingerprint: string): ReadFile {
  const read = readFile(file);
  if (read.fingerprint === fingerprint) return read;
  throw new ConclaveError('invalid_request', {
    problems: [`fingerprint: the certificate has ${read.fingerprint}, and not the one that was confirmed`],
  });
}

export interface AddedPeer {
  readonly file: string;
  /** The one that its operator has read out. */
  readonly fingerprint: string;
  readonly name?: string | undefined;
  readonly url?: string | null | undefined;
  readonly roles?: readonly PeerRole[] | undefined;
}

export async function addPeer(
  services: OperatorServices,
  given: AddedPeer,
  operator: string,
): Promise<PeerView> {
  const read = confirmed(given.file, given.fingerprint);
  const name = given.name ?? read.name;
  if (name === null)
    throw new ConclaveError('invalid_request', { problems: ['name: a certificate needs one'] });
  const added = await services.peers.add(
    {
      name,
      url: given.url === undefined ? read.url : given.url,
      certificates: [read.certificate],
      roles: given.roles ?? read.roles,
    },
    noted(services, 'peer_added', operator, name, read.fingerprint),
  );
  return await peer(services, added.id);
}

/** Accepts a new certificate of a peer beside the old one. */
export async function rotatePeer(
  services: OperatorServices,
  id: string,
  { file, fingerprint }: { readonly file: string; readonly fingerprint: string },
  operator: string,
): Promise<PeerView> {
  const { name } = demandPeer(services, id);
  const { certificate } = confirmed(file, fingerprint);
  await services.peers.addCertificate(
    id,
    certificate,
    noted(services, 'peer_rotated', operator, name, fingerprint),
  );
  return await peer(services, id);
}

/** Only the newest certificate counts from now on. */
export async function completeRotation(
  services: OperatorServices,
  id: string,
  operator: string,
): Promise<PeerView> {
  const found = demandPeer(services, id);
  if (found.certificates.length < 2)
    throw new ConclaveError('not_allowed', { reason: `${found.name} has one certificate only` });
  const note = noted(
    services,
    'peer_rotation_completed',
    operator,
    found.name,
    found.certificates.at(-1)!.fingerprint,
  );
  for (const { fingerprint } of found.certificates.slice(0, -1))
    await services.peers.removeCertificate(id, fingerprint, note);
  return await peer(services, id);
}

export async function removePeer(services: OperatorServices, id: string, operator: string): Promise<void> {
  const { name, certificates } = demandPeer(services, id);
  await services.peers.remove(
    id,
    noted(services, 'peer_removed', operator, name, certificates[0]!.fingerprint),
  );
}

/** The entry of the audit trail, in the transaction of the change. */
function noted(
  { record }: OperatorServices,
  kind: string,
  by: string,
  name: string,
  fingerprint: string,
): (transaction: Knex, peer: string) => Promise<void> {
  return (transaction, peer) => record(transaction, { kind, by, peer, name, fingerprint });
}

function demandPeer(services: OperatorServices, id: string): Peer {
  const found = services.peers.byId(id);
  if (found === undefined) throw new ConclaveError('peer_not_found', { peer: id });
  return found;
}
