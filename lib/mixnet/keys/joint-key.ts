/**
 * From accepted dealings to the session's key: the joint polynomial in the exponent, the public key, the party's share,
 * and a hash by which all authorities confirm that they have the same (D32, D46).
 */
import { z } from 'zod';
import { intLeaf, leaf, node, textLeaf } from '../byte-tree/tree.ts';
import type { PublicKey } from '../elgamal/ciphertexts.ts';
import { ProductCodec } from '../elgamal/shape.ts';
import { type Elements, type Scalars, sameVector, vectorOf } from '../groups/vectors.ts';
import { fromHex, hex, toBigInt } from '../octets.ts';
import { Refusal } from '../refusal.ts';
import type { CheckedDealing } from './dealing.ts';
import { hashOf, type KeyContext } from './key-context.ts';
import {
  jointKey,
  type PolynomialInExponent,
  partyKey,
  polynomialOf,
  polynomialTree,
} from './polynomial-in-exponent.ts';

/** What everyone can compute from the accepted dealings. */
export interface JointKey {
  readonly publicKey: PublicKey;
  readonly polynomial: PolynomialInExponent;
  /** `y_l`, a vector of length one, for l = 1 … n. */
  readonly partyKeys: readonly Elements[];
  /** Dealers whose dealings were accepted. */
  readonly dealers: readonly number[];
  /** Equal at all authorities exactly if they accepted the same dealings in the same session. */
  readonly confirmation: Uint8Array;
}

/** At least t dealings, by distinct dealers, so that one of them is honest if fewer than t authorities cheat. */
export function combineDealings(context: KeyContext, dealings: readonly CheckedDealing[]): JointKey {
  const { group, threshold } = context;
  const accepted = [...dealings].sort((a, b) => a.dealer - b.dealer);
  if (new Set(accepted.map((dealing) => dealing.dealer)).size !== accepted.length) {
    throw new RangeError('two dealings of one dealer');
  }
  if (accepted.length < threshold) {
    throw new Refusal(
      'too-few-dealings',
      `${accepted.length} dealings were accepted, ${threshold} are needed`,
    );
  }
  const sum = accepted
    .map((dealing) => dealing.commitments)
    .reduce((product, commitments) => group.multiply(product, commitments));
  const polynomial = polynomialOf(group, [sum]);
  const publicKey = jointKey(polynomial);
  // A lower degree would let fewer than t authorities decrypt.
  if (polynomial.coefficients[0]!.length !== threshold) {
    throw new Refusal('joint-key-degenerate', 'the joint polynomial has too low a degree');
  }
  if (group.isIdentity(publicKey.y[0]!, 0))
    throw new Refusal('joint-key-degenerate', 'the joint key is the identity');
  const codec = new ProductCodec(group, { width: 1, keyWidth: 1 });
  const confirmation = hashOf(
    node(
      textLeaf('conclave joint key, version 1'),
      leaf(context.digest),
      polynomialTree(codec, polynomial),
      node(...accepted.map((dealing) => node(intLeaf(dealing.dealer), leaf(dealing.hash)))),
    ),
  );
  const partyKeys = context.partyKeys.map((_, i) => partyKey(group, polynomial, i + 1)[0]!);
  return {
    publicKey,
    polynomial,
    partyKeys,
    dealers: accepted.map((dealing) => dealing.dealer),
    confirmation,
  };
}

/** `x_l`, the sum of the shares from exactly the accepted dealers. */
export function combineShares(
  context: KeyContext,
  key: JointKey,
  party: number,
  shares: readonly { readonly dealer: number; readonly share: Scalars }[],
): Scalars {
  const { group } = context;
  const chosen = key.dealers.map((dealer) => {
    const found = shares.find((share) => share.dealer === dealer);
    if (found === undefined) throw new RangeError(`no share from dealer ${dealer}`);
    return found.share;
  });
  const share = chosen.reduce((sum, next) => group.ring.add(sum, next));
  if (!sameVector(group.powerBySecret(group.generator, share), key.partyKeys[party - 1]!)) {
    throw new Refusal('share-inconsistent', 'the share does not fit the joint key');
  }
  return share;
}

const shareSchema = z.strictObject({
  version: z.literal(1),
  group: z.string(),
  party: z.int().min(1),
  share: z.string().regex(/^[0-9a-f]+$/),
});

/** A key share as it is stored; secret. */
export type StoredShare = z.infer<typeof shareSchema>;

export function storeShare(context: Pick<KeyContext, 'group'>, party: number, share: Scalars): StoredShare {
  return { version: 1, group: context.group.name, party, share: hex(share.bytes) };
}

export function loadShare(
  context: Pick<KeyContext, 'group'>,
  value: unknown,
): { party: number; share: Scalars } {
  const parsed = shareSchema.safeParse(value);
  const { ring, name } = context.group;
  const bytes = parsed.success ? fromHex(parsed.data.share) : null;
  if (!parsed.success || bytes === null || parsed.data.group !== name || bytes.length !== ring.width) {
    throw new Refusal('secret-state-invalid', 'the stored key share is damaged or of another group');
  }
  if (toBigInt(bytes) >= ring.order)
    throw new Refusal('secret-state-invalid', 'the stored key share is damaged');
  return { party: parsed.data.party, share: vectorOf('scalars', ring.width, bytes) };
}
