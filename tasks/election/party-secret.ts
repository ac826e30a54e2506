/** The secret keys of this authority for one election, sealed in the database (D36). */

import { ConclaveError } from '../../lib/errors.ts';
import type { StoredShare } from '../../lib/mixnet/keys/joint-key.ts';
import { type PartySecret, readPartySecret } from '../../lib/mixnet/keys/party-key.ts';
import type { ElectionRecord, SessionRecord } from './records.ts';
import type { ElectionServices } from './services.ts';

export function sealJson(services: ElectionServices, value: unknown, context: string): Buffer {
  return services.seal(Buffer.from(JSON.stringify(value)), context);
}

export function openJson(services: ElectionServices, sealed: Buffer, context: string): unknown {
  return JSON.parse(services.open(sealed, context).toString('utf8'));
}

export const partySecretContext = (electionKey: string): string => `party key of election ${electionKey}`;
export const dealingContext = (sessionId: string): string => `dealing of session ${sessionId}`;
export const shareContext = (sessionId: string): string => `key share of session ${sessionId}`;
export const randomnessContext = (tallyId: string, sessionId: string): string =>
  `decryption randomness of session ${sessionId} in tally ${tallyId}`;

/** @throws ConclaveError `election_not_ready` before there is one */
export function openPartySecret(services: ElectionServices, election: ElectionRecord): PartySecret {
  if (election.sealedPartyKey === null)
    throw new ConclaveError('election_not_ready', { electionId: election.key });
  return readPartySecret(openJson(services, election.sealedPartyKey, partySecretContext(election.key)));
}

/**
 * The secret without its decryption key, for the time after the key generation: the sealed shares are no secret, so that
 * whoever takes hold of this node later, even after its key share has left it (EO-8), must find nothing that opens them.
 */
export function withoutEncryptionKey(secret: PartySecret): PartySecret {
  return { ...secret, encryption: '0'.repeat(64) };
}

/** @throws ConclaveError `share_missing` while the share is deleted from this node (EO-8) */
export function openShareOf(services: ElectionServices, session: SessionRecord): StoredShare {
  if (session.sealedShare === null) {
    const detail = `the key share of session ${session.sessionId} is not on this node; restore it first`;
    throw new ConclaveError('share_missing', { detail });
  }
  return openJson(services, session.sealedShare, shareContext(session.sessionId)) as StoredShare;
}
