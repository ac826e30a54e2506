/**
 * The keys of one authority for one election: Ed25519 to sign, P-256 to receive shares of the session keys.
 *
 * The public half is one JSON object, signed by itself and bound to the election, so that no one can present another
 * authority's key as their own.
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { z } from 'zod';
import { leaf, node, serialise, textLeaf } from '../byte-tree/tree.ts';
import { groupByName } from '../groups/registry.ts';
import { elementTree } from '../groups/tree-codec.ts';
import { type Elements, type Scalars, vectorOf } from '../groups/vectors.ts';
import { fromHex, hex, toBigInt } from '../octets.ts';
import { Refusal } from '../refusal.ts';

/** Shares travel under keys of this group, whatever the election's group is. */
export const encryptionGroup = groupByName('P-256');

const octets = (count: number) => z.string().regex(new RegExp(`^[0-9a-f]{${2 * count}}$`));

export const partyKeySchema = z.strictObject({
  version: z.literal(1),
  electionId: z.string().min(1).max(256),
  /** Ed25519, 32 octets. */
  signing: octets(32),
  /** P-256, uncompressed SEC 1. */
  encryption: octets(65),
  /** Over all of the above, by `signing`. */
  signature: octets(64),
});

export type PartyKey = z.infer<typeof partyKeySchema>;

const secretSchema = z.strictObject({
  version: z.literal(1),
  /** Ed25519, PKCS 8. */
  signing: z.string().regex(/^[0-9a-f]{2,400}$/),
  encryption: octets(32),
});

/** To be stored with mode 0600 and never sent. */
export type PartySecret = z.infer<typeof secretSchema>;

export function createPartyKey(electionId: string): { key: PartyKey; secret: PartySecret } {
  const pair = generateKeyPairSync('ed25519');
  const x = encryptionGroup.ring.random(1);
  const secret: PartySecret = {
    version: 1,
    signing: hex(pair.privateKey.export({ type: 'pkcs8', format: 'der' })),
    encryption: hex(x.bytes),
  };
  const jwk = pair.publicKey.export({ format: 'jwk' });
  const unsigned = {
    version: 1 as const,
    electionId,
    signing: Buffer.from(jwk.x!, 'base64url').toString('hex'),
    encryption: encryptionGroup.elementText(encryptionGroup.powerBySecret(encryptionGroup.generator, x), 0),
  };
  return { key: { ...unsigned, signature: hex(signAs(secret, keyStatement(unsigned))) }, secret };
}

/** Checks form, points and self-signature of a key for this election. */
export function readPartyKey(value: unknown, electionId: string): PartyKey {
  const parsed = partyKeySchema.safeParse(value);
  if (!parsed.success) throw new Refusal('party-key-invalid', 'the party key has not the expected form');
  const key = parsed.data;
  if (key.electionId !== electionId)
    throw new Refusal('party-key-invalid', 'the party key is of another election');
  encryptionPoint(key);
  if (!isSignedBy(key, keyStatement(key), key.signature)) {
    throw new Refusal('signature-invalid', 'the party key is not signed by itself');
  }
  return key;
}

export function encryptionPoint(key: PartyKey): Elements {
  return encryptionGroup.parseElement(key.encryption, 'the encryption key of a party');
}

/** A scalar of the encryption group from 64 hex digits. */
export function encryptionScalar(text: string): Scalars {
  const bytes = fromHex(text);
  const { ring } = encryptionGroup;
  if (bytes === null || bytes.length !== ring.width || toBigInt(bytes) >= ring.order) {
    throw new Refusal('scalar-not-canonical', 'a scalar is not less than the group order');
  }
  return vectorOf('scalars', ring.width, bytes);
}

export function readPartySecret(value: unknown): PartySecret {
  const parsed = secretSchema.safeParse(value);
  if (!parsed.success) throw new Refusal('secret-state-invalid', 'the stored party secret is damaged');
  return parsed.data;
}

export function decryptionScalar(secret: PartySecret): Scalars {
  return encryptionScalar(secret.encryption);
}

/** Ed25519 over `statement`, which must begin with a domain tag. */
export function signAs(secret: PartySecret, statement: Uint8Array): Uint8Array {
  const key = createPrivateKey({ key: Buffer.from(secret.signing, 'hex'), format: 'der', type: 'pkcs8' });
  return new Uint8Array(sign(null, statement, key));
}

export function isSignedBy(
  key: Pick<PartyKey, 'signing'>,
  statement: Uint8Array,
  signature: string,
): boolean {
  const octetsOfSignature = fromHex(signature);
  if (octetsOfSignature === null || octetsOfSignature.length !== 64) return false;
  return verify(null, statement, verificationKey(key.signing), octetsOfSignature);
}

function verificationKey(signing: string): KeyObject {
  const x = Buffer.from(signing, 'hex').toString('base64url');
  try {
    return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  } catch {
    throw new Refusal('party-key-invalid', 'the signing key of a party is no Ed25519 key');
  }
}

function keyStatement(key: Pick<PartyKey, 'electionId' | 'signing' | 'encryption'>): Uint8Array {
  return serialise(
    node(
      textLeaf('conclave party key, version 1'),
      textLeaf(key.electionId),
      leaf(fromHex(key.signing)!),
      elementTree(
        encryptionGroup,
        encryptionGroup.parseElement(key.encryption, 'the encryption key of a party'),
      ),
    ),
  );
}
