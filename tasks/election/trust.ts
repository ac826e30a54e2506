/**
 * Who may ask what of an authority in an election (D32, 1B.6): membership by certificate, and signatures of the
 * authorities' certificates over what the director only carries.
 */
import { verify, X509Certificate } from 'node:crypto';
import type { TaskView } from '../../lib/engine/context.ts';
import { ConclaveError } from '../../lib/errors.ts';
import { canonicalJson } from './canonical.ts';
import type { Authority, ElectionRequest } from './election.ts';
import { electionKey } from './election.ts';
import { type AuthorityRecord, authoritiesOf, type ElectionRecord, findElection } from './records.ts';
import type { ElectionServices } from './services.ts';

export function sameCertificate(left: string, right: string): boolean {
  return new X509Certificate(left).fingerprint256 === new X509Certificate(right).fingerprint256;
}

/** The position of this node among the authorities, from 1; 0: it is none of them. */
export function ownPosition(services: ElectionServices, authorities: readonly Authority[]): number {
  return authorities.findIndex(({ ssl_cert }) => sameCertificate(ssl_cert, services.certificate)) + 1;
}

/**
 * Every authority but this node must be a pinned peer with that certificate, at that URL; otherwise this node would
 * take part in an election with strangers.
 * @returns one problem per authority that is not
 */
export function unknownAuthorities(
  services: ElectionServices,
  authorities: readonly Authority[],
): { at: string; problem: string }[] {
  return authorities.flatMap(({ name, orchestra_url, ssl_cert }, index) => {
    const at = `authorities[${index}]`;
    if (sameCertificate(ssl_cert, services.certificate))
      return orchestra_url === services.node.url
        ? []
        : [{ at: `${at}.orchestra_url`, problem: `is not this node's URL, which is ${services.node.url}` }];
    const peer = services.peerByCertificate(ssl_cert);
    if (peer === undefined)
      return [
        {
          at: `${at}.ssl_cert`,
          problem: `the certificate of ${name} is not pinned by ${services.node.name}; add it with: conclave peers add FILE`,
        },
      ];
    return peer.url === orchestra_url
      ? []
      : [{ at: `${at}.orchestra_url`, problem: `the peer with this certificate is known at ${peer.url}` }];
  });
}

/** @throws ConclaveError `not_an_authority` when the sender of the task is none */
export function demandAuthority(
  services: ElectionServices,
  task: Pick<TaskView, 'peerId'>,
  request: ElectionRequest,
): Authority {
  const sender = request.authorities.find(({ ssl_cert }) =>
    task.peerId === null
      ? sameCertificate(ssl_cert, services.certificate)
      : services.peerByCertificate(ssl_cert)?.id === task.peerId,
  );
  if (sender !== undefined) return sender;
  const who = task.peerId === null ? 'this node' : (services.peerById(task.peerId)?.name ?? task.peerId);
  throw new ConclaveError('not_an_authority', { who, electionId: request.id });
}

/** The election of a task, asked for by its director. @throws ConclaveError */
export async function demandDirector(
  services: ElectionServices,
  task: Pick<TaskView, 'peerId'>,
  electionId: string | number,
): Promise<ElectionRecord> {
  const election = await demandElection(services, electionId);
  const sender = demandAuthority(services, task, election.request);
  if (sender.orchestra_url !== election.directorUrl)
    throw new ConclaveError('not_an_authority', {
      who: `${sender.name} is not the director, and`,
      electionId,
    });
  return election;
}

export async function demandElection(
  services: ElectionServices,
  electionId: string | number,
): Promise<ElectionRecord> {
  const election = await findElection(services.db, electionKey(electionId));
  if (election === undefined) throw new ConclaveError('election_not_found', { electionId });
  return election;
}

export async function demandAuthorities(
  services: ElectionServices,
  election: ElectionRecord,
): Promise<AuthorityRecord[]> {
  return authoritiesOf(services.db, election.key);
}

/** What an authority's certificate signs about its keys for an election. */
export function partyKeyStatement(requestHash: string, partyKey: unknown): Buffer {
  return Buffer.from(`conclave party key, version 1\n${requestHash}\n${canonicalJson(partyKey)}`);
}

/** Whether the key of a certificate has signed. */
export function isSignedWith(certificate: string, data: Uint8Array, signature: Uint8Array): boolean {
  return verify('sha256', data, new X509Certificate(certificate).publicKey, signature);
}
