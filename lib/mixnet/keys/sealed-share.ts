/**
 * Encryption of one share to one party: hashed ElGamal on P-256 with AES-256-GCM.
 *
 * It is P-256, not X25519, so that a recipient can prove to everyone what a sealed share holds: it reveals the one
 * shared point with a Chaum–Pedersen proof, and keeps its key.
 */
import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';
import { leaf, node, serialise, type Tree, textLeaf } from '../byte-tree/tree.ts';
import { elementTree } from '../groups/tree-codec.ts';
import { type Elements, type Scalars, sameVector } from '../groups/vectors.ts';
import { concatenate, toBigInt } from '../octets.ts';
import { hashOf } from './key-context.ts';
import { encryptionGroup } from './party-key.ts';

const group = encryptionGroup;
const tagLength = 16;

export interface SealedShare {
  /** `R = g^r`. */
  readonly ephemeral: Elements;
  /**
   * Knowledge of r, bound to the context. Without it a dealer could take R from somebody else's share of an earlier
   * session, provoke a complaint, and read that share with the point that the complaint reveals.
   */
  readonly proof: KnowledgeProof;
  /** AES-256-GCM ciphertext and tag. */
  readonly box: Uint8Array;
}

export interface KnowledgeProof {
  readonly challenge: Scalars;
  readonly response: Scalars;
}

/** `context` is bound as associated data and into the key. */
export function seal(recipient: Elements, share: Uint8Array, context: Tree): SealedShare {
  const r = group.ring.random(1);
  const ephemeral = group.powerOfFixed(group.generator, r);
  const { key, nonce, associated } = derive(ephemeral, recipient, group.powerBySecret(recipient, r), context);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(associated);
  const box = concatenate(cipher.update(share), cipher.final(), cipher.getAuthTag());
  const k = group.ring.random(1);
  const challenge = knowledgeChallenge(ephemeral, box, context, group.powerOfFixed(group.generator, k));
  return {
    ephemeral,
    box,
    proof: { challenge, response: group.ring.add(k, group.ring.multiply(challenge, r)) },
  };
}

/** Did whoever sealed this share for this context know r? */
export function isSealedFor({ ephemeral, box, proof }: SealedShare, context: Tree): boolean {
  const commitment = group.multiply(
    group.powerOfFixed(group.generator, proof.response),
    group.power(ephemeral, group.ring.negate(proof.challenge)),
  );
  return sameVector(knowledgeChallenge(ephemeral, box, context, commitment), proof.challenge);
}

function knowledgeChallenge(
  ephemeral: Elements,
  box: Uint8Array,
  context: Tree,
  commitment: Elements,
): Scalars {
  const tag = textLeaf('conclave sealed share: knowledge of the ephemeral key, version 1');
  const points = [ephemeral, commitment].map((point) => elementTree(group, point));
  return group.ring.of(toBigInt(hashOf(node(tag, leaf(serialise(context)), leaf(box), ...points))));
}

/** `S = R^x`, what both sides share. */
export function sharedPoint(ephemeral: Elements, secret: Scalars): Elements {
  return group.powerBySecret(ephemeral, secret);
}

/** The share, or `null` if the box does not open under this shared point. */
export function open(
  { ephemeral, box }: Pick<SealedShare, 'ephemeral' | 'box'>,
  recipient: Elements,
  shared: Elements,
  context: Tree,
): Uint8Array | null {
  if (box.length < tagLength) return null;
  const { key, nonce, associated } = derive(ephemeral, recipient, shared, context);
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagLength }).setAAD(
    associated,
  );
  decipher.setAuthTag(box.subarray(box.length - tagLength));
  try {
    return concatenate(decipher.update(box.subarray(0, box.length - tagLength)), decipher.final());
  } catch {
    return null;
  }
}

/** The key serves one message only, so the nonce comes from the same derivation. */
function derive(
  ephemeral: Elements,
  recipient: Elements,
  shared: Elements,
  context: Tree,
): { key: Uint8Array; nonce: Uint8Array; associated: Uint8Array } {
  const associated = hashOf(node(textLeaf('conclave sealed share, version 1'), context));
  const secret = concatenate(shared.bytes, ephemeral.bytes, recipient.bytes);
  const out = new Uint8Array(hkdfSync('sha256', secret, new Uint8Array(0), associated, 44));
  return { key: out.subarray(0, 32), nonce: out.subarray(32), associated };
}

/** That `log_g(recipient) = log_R(shared)`. */
export interface SharedPointProof {
  readonly challenge: Scalars;
  readonly response: Scalars;
}

export function proveSharedPoint(
  ephemeral: Elements,
  recipient: Elements,
  shared: Elements,
  secret: Scalars,
  context: Tree,
): SharedPointProof {
  const k = group.ring.random(1);
  const challenge = proofChallenge(ephemeral, recipient, shared, context, [
    group.powerOfFixed(group.generator, k),
    group.powerBySecret(ephemeral, k),
  ]);
  return { challenge, response: group.ring.add(k, group.ring.multiply(challenge, secret)) };
}

export function isSharedPoint(
  ephemeral: Elements,
  recipient: Elements,
  shared: Elements,
  { challenge, response }: SharedPointProof,
  context: Tree,
): boolean {
  const minus = group.ring.negate(challenge);
  const commitment = (base: Elements, power: Elements): Elements =>
    group.multiply(group.power(base, response), group.power(power, minus));
  const expected = proofChallenge(ephemeral, recipient, shared, context, [
    commitment(group.generator, recipient),
    commitment(ephemeral, shared),
  ]);
  return sameVector(expected, challenge);
}

function proofChallenge(
  ephemeral: Elements,
  recipient: Elements,
  shared: Elements,
  context: Tree,
  commitments: readonly Elements[],
): Scalars {
  const points = [ephemeral, recipient, shared, ...commitments].map((point) => elementTree(group, point));
  const tag = textLeaf('conclave shared point, version 1');
  return group.ring.of(toBigInt(hashOf(node(tag, leaf(serialise(context)), ...points))));
}
