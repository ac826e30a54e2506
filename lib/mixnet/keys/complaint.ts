/**
 * Opening one's share of a dealing, and what happens if it is bad: a complaint that everyone can judge.
 *
 * The complainer reveals the point it shares with the dealer, proven right. With it anyone opens that one sealed share
 * and sees who cheated. Nothing else is revealed: neither the complainer's key nor any other share.
 */
import { z } from 'zod';
import { intLeaf, leaf, node, serialise, type Tree, textLeaf } from '../byte-tree/tree.ts';
import { elementTree } from '../groups/tree-codec.ts';
import { type Elements, type Scalars, sameVector, vectorOf } from '../groups/vectors.ts';
import { equalOctets, fromHex, hex, toBigInt } from '../octets.ts';
import { Refusal, type RefusalReason } from '../refusal.ts';
import { type CheckedDealing, shareBinding, shareInExponent } from './dealing.ts';
import { checkIndex, type KeyContext } from './key-context.ts';
import {
  decryptionScalar,
  encryptionGroup,
  encryptionPoint,
  encryptionScalar,
  isSignedBy,
  type PartySecret,
  signAs,
} from './party-key.ts';
import { isSharedPoint, open, proveSharedPoint, type SharedPointProof, sharedPoint } from './sealed-share.ts';

const scalar = z.string().regex(/^[0-9a-f]{64}$/);
const complaintSchema = z.strictObject({
  version: z.literal(1),
  /** Hash of the dealing that is complained about. */
  dealing: z.string().regex(/^[0-9a-f]{64}$/),
  dealer: z.int(),
  complainer: z.int(),
  /** The shared point, uncompressed SEC 1. */
  shared: z.string().regex(/^[0-9a-f]{130}$/),
  proof: z.strictObject({ challenge: scalar, response: scalar }),
  signature: z.string().regex(/^[0-9a-f]{128}$/),
});

export type Complaint = z.infer<typeof complaintSchema>;

export type OpenedShare =
  | { readonly ok: true; readonly dealer: number; readonly share: Scalars }
  | {
      readonly ok: false;
      readonly dealer: number;
      readonly reason: RefusalReason;
      readonly complaint: Complaint;
    };

/** The share that `party` received in a dealing, or a complaint with evidence. */
export function openShare(
  context: KeyContext,
  dealing: CheckedDealing,
  party: number,
  secret: PartySecret,
): OpenedShare {
  checkIndex(context, party);
  const x = decryptionScalar(secret);
  const { ephemeral } = dealing.shares[party - 1]!;
  const shared = sharedPoint(ephemeral, x);
  const judged = judgeShare(context, dealing, party, shared);
  if (judged.ok) return { ok: true, dealer: dealing.dealer, share: judged.share };
  const recipient = encryptionPoint(context.partyKeys[party - 1]!);
  const proof = proveSharedPoint(ephemeral, recipient, shared, x, complaintContext(context, dealing, party));
  const complaint: Omit<Complaint, 'signature'> = {
    version: 1,
    dealing: hex(dealing.hash),
    dealer: dealing.dealer,
    complainer: party,
    shared: encryptionGroup.elementText(shared, 0),
    proof: { challenge: hex(proof.challenge.bytes), response: hex(proof.response.bytes) },
  };
  const signature = hex(signAs(secret, complaintStatement(context, dealing, party, shared, proof)));
  return {
    ok: false,
    dealer: dealing.dealer,
    reason: judged.reason,
    complaint: { ...complaint, signature },
  };
}

export interface Judgement {
  readonly guilty: 'dealer' | 'complainer';
  readonly party: number;
  readonly reason: RefusalReason;
}

/**
 * Who cheats, the dealer or the complainer. A complaint that is not even signed by `complainer` is a `Refusal`: whoever
 * delivered it may have made it up.
 */
export function verifyComplaint(
  context: KeyContext,
  dealing: CheckedDealing,
  complainer: number,
  value: unknown,
): Judgement {
  checkIndex(context, complainer);
  const complaint = readComplaint(dealing, complainer, value);
  const key = context.partyKeys[complainer - 1]!;
  const shared = encryptionGroup.parseElement(complaint.shared, 'the shared point of a complaint');
  const proof = {
    challenge: encryptionScalar(complaint.proof.challenge),
    response: encryptionScalar(complaint.proof.response),
  };
  const signed = complaintStatement(context, dealing, complainer, shared, proof);
  if (!isSignedBy(key, signed, complaint.signature)) {
    throw new Refusal('signature-invalid', `the complaint is not signed by party ${complainer}`);
  }
  const { ephemeral } = dealing.shares[complainer - 1]!;
  const proofContext = complaintContext(context, dealing, complainer);
  if (!isSharedPoint(ephemeral, encryptionPoint(key), shared, proof, proofContext)) {
    return { guilty: 'complainer', party: complainer, reason: 'complaint-proof-invalid' };
  }
  const judged = judgeShare(context, dealing, complainer, shared);
  return judged.ok
    ? { guilty: 'complainer', party: complainer, reason: 'complaint-unfounded' }
    : { guilty: 'dealer', party: dealing.dealer, reason: judged.reason };
}

function readComplaint(dealing: CheckedDealing, complainer: number, value: unknown): Complaint {
  const parsed = complaintSchema.safeParse(value);
  if (!parsed.success) throw new Refusal('complaint-malformed', 'the complaint has not the expected form');
  const { data } = parsed;
  if (data.dealer !== dealing.dealer || data.complainer !== complainer) {
    throw new Refusal('complaint-malformed', 'the complaint is about another dealer or by another party');
  }
  if (!equalOctets(fromHex(data.dealing)!, dealing.hash)) {
    throw new Refusal('session-mismatch', 'the complaint is about another dealing');
  }
  return data;
}

type Judged =
  | { readonly ok: true; readonly share: Scalars }
  | { readonly ok: false; readonly reason: RefusalReason };

/** What the sealed share of `party` holds, as anyone with the shared point sees it. */
function judgeShare(context: KeyContext, dealing: CheckedDealing, party: number, shared: Elements): Judged {
  const { group } = context;
  const { ring } = group;
  const recipient = encryptionPoint(context.partyKeys[party - 1]!);
  const binding = shareBinding(context, dealing.dealer, dealing.commitments)(party);
  const bytes = open(dealing.shares[party - 1]!, recipient, shared, binding);
  if (bytes === null) return { ok: false, reason: 'share-undecryptable' };
  if (bytes.length !== ring.width || toBigInt(bytes) >= ring.order) {
    return { ok: false, reason: 'scalar-not-canonical' };
  }
  const share = vectorOf('scalars', ring.width, bytes);
  const expected = shareInExponent(group, dealing.commitments, party);
  const consistent = sameVector(group.powerBySecret(group.generator, share), expected);
  return consistent ? { ok: true, share } : { ok: false, reason: 'share-inconsistent' };
}

function complaintContext(context: KeyContext, dealing: CheckedDealing, party: number): Tree {
  return node(leaf(context.digest), leaf(dealing.hash), intLeaf(party));
}

function complaintStatement(
  context: KeyContext,
  dealing: CheckedDealing,
  party: number,
  shared: Elements,
  proof: SharedPointProof,
): Uint8Array {
  return serialise(
    node(
      textLeaf('conclave complaint, version 1'),
      complaintContext(context, dealing, party),
      elementTree(encryptionGroup, shared),
      leaf(proof.challenge.bytes),
      leaf(proof.response.bytes),
    ),
  );
}
