/**
 * What a party must keep between its commitment and its reply (VF 11): the nonce rho and, once it replied, to which
 * challenge.
 *
 * Two replies under one nonce reveal the key share. So the reply is a function of this state, the state with the
 * challenge must be stored before the reply is sent, and a second, different challenge is refused for ever.
 */
import { readWhole } from '../byte-tree/reader.ts';
import { intLeaf, leaf, node, serialise } from '../byte-tree/tree.ts';
import type { Scalars } from '../groups/vectors.ts';
import { equalOctets } from '../octets.ts';
import { Refusal } from '../refusal.ts';
import type { MixSession } from '../session/session.ts';

export interface DecryptionSecret {
  readonly party: number;
  /** Seed of the statement that the commitment is about. */
  readonly seed: Uint8Array;
  /** Per key part. */
  readonly rho: readonly Scalars[];
  /** Empty until the reply. */
  readonly challenge: Uint8Array;
}

/** To be stored in a file of mode 0600. */
export function writeDecryptionSecret(session: MixSession, secret: DecryptionSecret): Uint8Array {
  const { party, seed, rho, challenge } = secret;
  return serialise(node(intLeaf(party), leaf(seed), session.codec.keyScalar(rho), leaf(challenge)));
}

export function readDecryptionSecret(session: MixSession, bytes: Uint8Array): DecryptionSecret {
  try {
    return readWhole(bytes, 'decryption secret', (reader) => {
      reader.node(4);
      return {
        party: reader.int(),
        seed: reader.leaf().slice(),
        rho: session.codec.readKeyScalar(reader),
        challenge: reader.leaf().slice(),
      };
    });
  } catch (error) {
    if (error instanceof Refusal)
      throw new Refusal('secret-state-invalid', 'the stored decryption state is damaged');
    throw error;
  }
}

/** The state after replying to `challenge`; refuses a challenge other than the recorded one. */
export function answering(secret: DecryptionSecret, challenge: Uint8Array): DecryptionSecret {
  if (secret.challenge.length === 0) return { ...secret, challenge };
  if (equalOctets(secret.challenge, challenge)) return secret;
  throw new Refusal(
    'second-challenge-refused',
    `party ${secret.party} already replied to another challenge with this commitment; commit again`,
  );
}
