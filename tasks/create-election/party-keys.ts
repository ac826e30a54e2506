/** What travels through the director in a key generation, and how an authority checks that it came from its makers. */
import { z } from 'zod';
import { TaskError } from '../../lib/engine/definitions.ts';
import { reasonOf } from '../../lib/errors.ts';
import { type PartyKey, partyKeySchema, readPartyKey } from '../../lib/mixnet/keys/party-key.ts';
import type { AuthorityRecord, ElectionRecord } from '../election/records.ts';
import { isSignedWith, partyKeyStatement } from '../election/trust.ts';

/** Output of `generate_private_info`: the keys of an authority for the election, signed with its certificate's key. */
export const partyKeyOutput = z.object({ party_key: partyKeySchema, signature: z.base64().max(2048) });
export type SignedPartyKey = z.infer<typeof partyKeyOutput>;

/** Output of `generate_public_key`. */
export const dealingOutput = z.object({ dealing: z.record(z.string(), z.unknown()) });

/**
 * The party keys in the order of the authorities, each signed by the certificate that the election names for it.
 * @throws TaskError `proof_invalid` naming the first that is not
 */
export function verifiedPartyKeys(
  election: Pick<ElectionRecord, 'key' | 'requestHash'>,
  authorities: readonly AuthorityRecord[],
  signed: readonly SignedPartyKey[],
): PartyKey[] {
  return authorities.map(({ name, certificate }, index) => {
    const given = signed[index];
    const refuse = (reason: string): never => {
      throw new TaskError(`${name} gave no valid keys: ${reason}`, { authority: name }, 'proof_invalid');
    };
    if (given === undefined) return refuse('they are missing');
    const statement = partyKeyStatement(election.requestHash, given.party_key);
    if (!isSignedWith(certificate, statement, Buffer.from(given.signature, 'base64')))
      return refuse('they are not signed with its certificate');
    try {
      return readPartyKey(given.party_key, election.key);
    } catch (thrown) {
      return refuse(reasonOf(thrown));
    }
  });
}
