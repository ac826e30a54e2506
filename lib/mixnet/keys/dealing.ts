/**
 * One dealer's part of a distributed key (Feldman's verifiable secret sharing with threshold t of n).
 *
 *     deal ──► hash published ──► (all hashes known) ──► dealing opened ──► every party checks it and opens its share
 *                                                                              │
 *                                                              complaint ◄─────┴────► combine
 *
 * A dealing is one JSON object. Its hash is published before any dealing is opened, so that nobody chooses a polynomial
 * after seeing the others'. Nothing secret outlives `deal`: the dealer's own share is sealed to itself like the rest.
 */
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { intLeaf, leaf, node, serialise, type Tree, textLeaf } from '../byte-tree/tree.ts';
import type { Group } from '../groups/group.ts';
import { elementArrayTree, elementTree } from '../groups/tree-codec.ts';
import { type Elements, item, join, type Scalars, sameVector } from '../groups/vectors.ts';
import { equalOctets, fromHex, hex, toBigInt } from '../octets.ts';
import { Refusal } from '../refusal.ts';
import { checkIndex, hashOf, type KeyContext } from './key-context.ts';
import {
  encryptionGroup,
  encryptionPoint,
  encryptionScalar,
  isSignedBy,
  type PartySecret,
  signAs,
} from './party-key.ts';
import { isSealedFor, type SealedShare, seal } from './sealed-share.ts';

const hexOctets = (least: number, most: number) =>
  z
    .string()
    .regex(/^[0-9a-f]*$/)
    .refine((text) => text.length % 2 === 0 && text.length >= 2 * least && text.length <= 2 * most);

const dealingSchema = z.strictObject({
  version: z.literal(1),
  /** Digest of the key context. */
  context: hexOctets(32, 32),
  dealer: z.int().min(1).max(1000),
  /** `Y_{d,0} … Y_{d,t-1}` in the text form of the group. */
  commitments: z.array(z.string().max(1300)).min(1).max(1000),
  /** One per party, in order. */
  shares: z
    .array(
      z.strictObject({
        ephemeral: hexOctets(65, 65),
        box: hexOctets(16, 1024),
        challenge: hexOctets(32, 32),
        response: hexOctets(32, 32),
      }),
    )
    .min(1)
    .max(1000),
  /** Knowledge of the constant term. */
  proof: z.strictObject({
    commitment: z.string().max(1300),
    response: z.string().regex(/^(0|[1-9][0-9]{0,1299})$/),
  }),
  salt: hexOctets(32, 32),
  signature: hexOctets(64, 64),
});

export type Dealing = z.infer<typeof dealingSchema>;

/** A dealing whose public parts were checked. */
export interface CheckedDealing {
  readonly dealer: number;
  /** The hash that was published before. */
  readonly hash: Uint8Array;
  readonly commitments: Elements;
  readonly shares: readonly SealedShare[];
}

/** Makes and signs a dealing. Store it before its hash is sent; keep it secret until all hashes are known. */
export function deal(
  context: KeyContext,
  dealer: number,
  secret: PartySecret,
): { dealing: Dealing; hash: Uint8Array } {
  checkIndex(context, dealer);
  const { group, threshold } = context;
  const { ring } = group;
  const polynomial = ring.random(threshold);
  const commitments = group.powerOfFixed(group.generator, polynomial);
  const binding = shareBinding(context, dealer, commitments);
  const shares = context.partyKeys.map((key, i) =>
    seal(encryptionPoint(key), evaluate(group, polynomial, i + 1).bytes, binding(i + 1)),
  );
  const k = ring.random(1);
  const commitment = group.powerOfFixed(group.generator, k);
  const challenge = constantTermChallenge(context, dealer, commitments, commitment);
  const response = ring.add(k, ring.multiply(challenge, item(polynomial, 0)));
  const unsigned = {
    version: 1 as const,
    context: hex(context.digest),
    dealer,
    commitments: Array.from({ length: threshold }, (_, i) => group.elementText(commitments, i)),
    shares: shares.map(({ ephemeral, box, proof }) => ({
      ephemeral: encryptionGroup.elementText(ephemeral, 0),
      box: hex(box),
      challenge: hex(proof.challenge.bytes),
      response: hex(proof.response.bytes),
    })),
    proof: { commitment: group.elementText(commitment, 0), response: ring.at(response, 0).toString() },
    salt: hex(randomBytes(32)),
  };
  const parts = { dealer, commitments, shares, commitment, response, salt: unsigned.salt };
  const dealing = { ...unsigned, signature: hex(signAs(secret, statement(context, parts))) };
  return { dealing, hash: dealingHash(context, parts, dealing.signature) };
}

/** Checks everything about a dealing that is public; `hash` is what the dealer published before. */
export function checkDealing(
  context: KeyContext,
  dealer: number,
  value: unknown,
  hash: Uint8Array,
): CheckedDealing {
  checkIndex(context, dealer);
  const parsed = dealingSchema.safeParse(value);
  if (!parsed.success) throw new Refusal('dealing-malformed', `the dealing of party ${dealer} is malformed`);
  const dealing = parsed.data;
  if (dealing.context !== hex(context.digest) || dealing.dealer !== dealer) {
    throw new Refusal(
      'session-mismatch',
      `the dealing of party ${dealer} belongs to another session or dealer`,
    );
  }
  const parts = readParts(context, dealing);
  if (!isSignedBy(context.partyKeys[dealer - 1]!, statement(context, parts), dealing.signature)) {
    throw new Refusal('signature-invalid', `the dealing of party ${dealer} is not signed by it`);
  }
  const found = dealingHash(context, parts, dealing.signature);
  if (!equalOctets(found, hash)) {
    throw new Refusal(
      'dealing-commitment-mismatch',
      `party ${dealer} opened another dealing than it committed to`,
    );
  }
  checkConstantTerm(context, parts);
  const binding = shareBinding(context, dealer, parts.commitments);
  const unknown = parts.shares.findIndex((share, i) => !isSealedFor(share, binding(i + 1)));
  if (unknown !== -1) {
    throw new Refusal(
      'dealing-proof-invalid',
      `party ${dealer} does not prove that it sealed the share of party ${unknown + 1} itself`,
    );
  }
  return { dealer, hash: found, commitments: parts.commitments, shares: parts.shares };
}

interface DealingParts {
  readonly dealer: number;
  readonly commitments: Elements;
  readonly shares: readonly SealedShare[];
  readonly commitment: Elements;
  readonly response: Scalars;
  readonly salt: string;
}

function readParts(context: KeyContext, dealing: Dealing): DealingParts {
  const { group, threshold, partyKeys } = context;
  if (dealing.commitments.length !== threshold || dealing.shares.length !== partyKeys.length) {
    throw new Refusal('dealing-malformed', `party ${dealing.dealer} dealt for other numbers of parties`);
  }
  const response = BigInt(dealing.proof.response);
  if (response >= group.ring.order) throw new Refusal('scalar-not-canonical', 'the response is not reduced');
  const points = dealing.commitments.map((text) => group.parseElement(text, 'a commitment of a dealing'));
  return {
    dealer: dealing.dealer,
    commitments: join(group.identity(0), ...points),
    shares: dealing.shares.map(({ ephemeral, box, challenge, response: shareResponse }) => ({
      ephemeral: encryptionGroup.parseElement(ephemeral, 'an ephemeral key of a dealing'),
      box: fromHex(box)!,
      proof: { challenge: encryptionScalar(challenge), response: encryptionScalar(shareResponse) },
    })),
    commitment: group.parseElement(dealing.proof.commitment, 'the proof of a dealing'),
    response: group.ring.of(response),
    salt: dealing.salt,
  };
}

function checkConstantTerm(context: KeyContext, parts: DealingParts): void {
  const { group } = context;
  const { dealer, commitments, commitment, response } = parts;
  const challenge = constantTermChallenge(context, dealer, commitments, commitment);
  const right = group.multiply(commitment, group.power(item(commitments, 0), challenge));
  if (sameVector(group.powerOfFixed(group.generator, response), right)) return;
  throw new Refusal(
    'dealing-proof-invalid',
    `party ${dealer} does not prove that it knows its constant term`,
  );
}

/** `P(l)` modulo q. */
export function evaluate(group: Group, polynomial: Scalars, party: number): Scalars {
  const { ring } = group;
  return ring.of(ring.values(polynomial).reduceRight((sum, a) => ring.reduce(sum * BigInt(party) + a), 0n));
}

/** `prod Y_i^{l^i}`: what the share of party l must be the logarithm of. */
export function shareInExponent(group: Group, commitments: Elements, party: number): Elements {
  const powers = Array.from({ length: commitments.length }, (_, i) => BigInt(party) ** BigInt(i));
  return group.multiPower(commitments, group.ring.ofAll(powers));
}

/** What a sealed share is bound to: session, dealer, recipient and all commitments. */
export function shareBinding(
  context: KeyContext,
  dealer: number,
  commitments: Elements,
): (recipient: number) => Tree {
  const hash = hashOf(elementArrayTree(context.group, commitments));
  return (recipient) => node(leaf(context.digest), intLeaf(dealer), intLeaf(recipient), leaf(hash));
}

function constantTermChallenge(
  context: KeyContext,
  dealer: number,
  commitments: Elements,
  commitment: Elements,
): Scalars {
  const question = node(
    textLeaf('conclave dealing: knowledge of the constant term, version 1'),
    leaf(context.digest),
    intLeaf(dealer),
    elementArrayTree(context.group, commitments),
    elementTree(context.group, commitment),
  );
  return context.group.ring.of(toBigInt(hashOf(question)));
}

function partsTree(context: KeyContext, parts: DealingParts): Tree {
  const { group } = context;
  return node(
    leaf(context.digest),
    intLeaf(parts.dealer),
    elementArrayTree(group, parts.commitments),
    node(
      ...parts.shares.map(({ ephemeral, box, proof }) =>
        node(
          elementTree(encryptionGroup, ephemeral),
          leaf(box),
          leaf(proof.challenge.bytes),
          leaf(proof.response.bytes),
        ),
      ),
    ),
    node(elementTree(group, parts.commitment), group.ring.scalarTree(parts.response)),
    leaf(fromHex(parts.salt)!),
  );
}

function statement(context: KeyContext, parts: DealingParts): Uint8Array {
  return serialise(node(textLeaf('conclave dealing, version 1'), partsTree(context, parts)));
}

function dealingHash(context: KeyContext, parts: DealingParts, signature: string): Uint8Array {
  const tag = textLeaf('conclave dealing commitment, version 1');
  return hashOf(node(tag, partsTree(context, parts), leaf(fromHex(signature)!)));
}
