import { expect } from 'chai';
import { node } from '../../lib/mixnet/byte-tree/tree.ts';
import { groupByName } from '../../lib/mixnet/groups/registry.ts';
import { item, sameVector } from '../../lib/mixnet/groups/vectors.ts';
import { type Complaint, openShare, verifyComplaint } from '../../lib/mixnet/keys/complaint.ts';
import { type CheckedDealing, checkDealing, deal, shareBinding } from '../../lib/mixnet/keys/dealing.ts';
import { combineDealings, combineShares, loadShare, storeShare } from '../../lib/mixnet/keys/joint-key.ts';
import { keyContext } from '../../lib/mixnet/keys/key-context.ts';
import { createPartyKey, encryptionPoint, readPartyKey } from '../../lib/mixnet/keys/party-key.ts';
import { lagrangeCoefficient, lagrangeFactor } from '../../lib/mixnet/keys/polynomial-in-exponent.ts';
import { isSealedFor, seal } from '../../lib/mixnet/keys/sealed-share.ts';
import { hex } from '../../lib/mixnet/octets.ts';
import { generateKey, makeParties } from './election.ts';
import { refusalReason } from './refusals.ts';

const made = makeParties('P-256', 3, 2);
const { context, secrets } = made;
const dealt = secrets.map((secret, i) => deal(context, i + 1, secret));
const checked = dealt.map(({ dealing, hash }, i) => checkDealing(context, i + 1, dealing, hash));
const clone = <T>(value: T): T => structuredClone(value);

describe('Distributed key generation', () => {
  for (const [group, parties, threshold] of [
    ['P-256', 3, 2],
    ['P-256', 1, 1],
    ['P-256', 5, 5],
    ['modp-2048', 2, 2],
  ] as const) {
    it(`given ${parties} honest parties and threshold ${threshold} (${group}), when they deal, then the shares make the key`, () => {
      const { key, shares } = generateKey(makeParties(group, parties, threshold));
      const { ring, generator, powerOfFixed } = groupByName(group);
      const chosen = Array.from({ length: threshold }, (_, i) => parties - i);
      const scaled = chosen.map(
        (party) => lagrangeCoefficient(parties, chosen, party) * ring.at(shares[party - 1]!, 0),
      );
      const sum = ring.of(
        scaled.reduce((total, next) => total + next) * ring.inverseOf(lagrangeFactor(parties)),
      );
      const y = powerOfFixed.call(groupByName(group), generator, sum);
      expect(sameVector(y, key.publicKey.y[0]!)).to.equal(true);
      expect(key.dealers).to.have.length(parties);
    });
  }

  it('given the same dealings, when combined by two parties in any order, then the confirmation is the same', () => {
    const a = combineDealings(context, checked);
    const b = combineDealings(context, [...checked].reverse());
    expect(hex(a.confirmation)).to.equal(hex(b.confirmation));
    const c = combineDealings(context, checked.slice(0, 2));
    expect(hex(c.confirmation)).not.to.equal(hex(a.confirmation));
  });

  it('given a missing dealer, when the others combine, then they get a key; below the threshold they are refused', () => {
    const key = combineDealings(context, [checked[0]!, checked[2]!]);
    const opened = [checked[0]!, checked[2]!].map((dealing) => openShare(context, dealing, 2, secrets[1]!));
    const shares = opened.filter((share) => share.ok);
    expect(combineShares(context, key, 2, shares).length).to.equal(1);
    expect(refusalReason(() => combineDealings(context, [checked[1]!]))).to.equal('too-few-dealings');
  });

  it('given shares of other dealings than accepted, when combined, then they are refused', () => {
    const key = combineDealings(context, checked.slice(0, 2));
    const shares = checked
      .map((dealing) => openShare(context, dealing, 1, secrets[0]!))
      .filter((share) => share.ok);
    const mixed = [shares[0]!, { dealer: 2, share: shares[2]!.share }];
    expect(refusalReason(() => combineShares(context, key, 1, mixed))).to.equal('share-inconsistent');
  });

  it('given a share, when stored and loaded, then it is the same; a damaged one is refused', () => {
    const share = context.group.ring.random(1);
    const stored = JSON.parse(JSON.stringify(storeShare(context, 2, share)));
    expect(loadShare(context, stored)).to.deep.equal({ party: 2, share });
    expect(refusalReason(() => loadShare(context, { ...stored, share: 'ff' }))).to.equal(
      'secret-state-invalid',
    );
    expect(refusalReason(() => loadShare({ group: groupByName('modp-2048') }, stored))).to.equal(
      'secret-state-invalid',
    );
  });
});

describe('Dealings that everyone refuses', () => {
  const { dealing, hash } = dealt[0]!;
  const check = (change: (copy: typeof dealing) => void, publishedHash = hash): string => {
    const copy = clone(dealing);
    change(copy);
    return refusalReason(() => checkDealing(context, 1, copy, publishedHash));
  };

  it('given another dealing than committed to, when opened, then it is refused', () => {
    const other = deal(context, 1, secrets[0]!);
    expect(refusalReason(() => checkDealing(context, 1, other.dealing, hash))).to.equal(
      'dealing-commitment-mismatch',
    );
  });

  it('given changed parts, when checked, then each is refused for its reason', () => {
    expect(check((copy) => copy.commitments.reverse())).to.equal('signature-invalid');
    expect(check((copy) => copy.shares.reverse())).to.equal('signature-invalid');
    expect(check((copy) => copy.commitments.pop())).to.equal('dealing-malformed');
    expect(check((copy) => copy.shares.pop())).to.equal('dealing-malformed');
    expect(check((copy) => Object.assign(copy, { extra: 1 }))).to.equal('dealing-malformed');
    expect(check((copy) => Object.assign(copy, { dealer: 2 }))).to.equal('session-mismatch');
    expect(check((copy) => Object.assign(copy, { context: '00'.repeat(32) }))).to.equal('session-mismatch');
    expect(check((copy) => Object.assign(copy, { signature: '00'.repeat(64) }))).to.equal(
      'signature-invalid',
    );
    expect(check((copy) => Object.assign(copy.commitments, { 0: `04${'00'.repeat(64)}` }))).to.equal(
      'element-not-in-group',
    );
    expect(check((copy) => Object.assign(copy.commitments, { 0: '00' }))).to.equal('element-not-canonical');
    expect(
      check((copy) => Object.assign(copy.proof, { response: String(context.group.ring.order) })),
    ).to.equal('scalar-not-canonical');
    expect(refusalReason(() => checkDealing(context, 1, null, hash))).to.equal('dealing-malformed');
    expect(refusalReason(() => checkDealing(context, 4, dealing, hash))).to.equal('party-unknown');
  });

  it('given a share whose ephemeral key was taken from another session, when checked, then the dealing is refused', () => {
    const other = keyContext('42', 'session2', context.group, 2, context.partyKeys);
    const taken = deal(other, 1, secrets[0]!);
    const parts = checkDealing(other, 1, taken.dealing, taken.hash);
    const binding = shareBinding(context, 1, parts.commitments)(1);
    expect(isSealedFor(parts.shares[0]!, shareBinding(other, 1, parts.commitments)(1))).to.equal(true);
    expect(isSealedFor(parts.shares[0]!, binding)).to.equal(false);
  });

  it('given a dealing of another session, when checked, then it is refused', () => {
    const other = keyContext('42', 'session2', context.group, 2, context.partyKeys);
    expect(refusalReason(() => checkDealing(other, 1, dealing, hash))).to.equal('session-mismatch');
  });

  it('given a dealing signed by another party, when checked, then it is refused', () => {
    const forged = deal(context, 1, secrets[1]!);
    expect(refusalReason(() => checkDealing(context, 1, forged.dealing, forged.hash))).to.equal(
      'signature-invalid',
    );
  });
});

describe('Complaints', () => {
  const good = checked[0]!;

  /** Dealing 1 as party 1 could have made it, with another share for party 2. */
  function cheating(share: Uint8Array, binding = node()): CheckedDealing {
    const shares = [...good.shares];
    shares[1] = seal(encryptionPoint(context.partyKeys[1]!), share, binding);
    return { ...good, shares };
  }

  function complain(dealing: CheckedDealing): Complaint {
    const opened = openShare(context, dealing, 2, secrets[1]!);
    if (opened.ok) throw new Error('no complaint');
    return JSON.parse(JSON.stringify(opened.complaint)) as Complaint;
  }

  it('given an undecryptable share, when complained about, then the dealer is guilty', () => {
    const bad = cheating(context.group.ring.random(1).bytes);
    expect(verifyComplaint(context, bad, 2, complain(bad))).to.deep.equal({
      guilty: 'dealer',
      party: 1,
      reason: 'share-undecryptable',
    });
  });

  it('given an honest dealer, when a complaint is made up, then the complainer is guilty or nobody said it', () => {
    const bad = cheating(context.group.ring.random(1).bytes);
    const complaint = complain(bad);
    expect(
      refusalReason(() =>
        verifyComplaint(context, good, 2, { ...complaint, shared: context.partyKeys[0]!.encryption }),
      ),
    ).to.equal('signature-invalid');
    expect(refusalReason(() => verifyComplaint(context, good, 3, complaint))).to.equal('complaint-malformed');
    expect(refusalReason(() => verifyComplaint(context, checked[1]!, 2, complaint))).to.equal(
      'complaint-malformed',
    );
    expect(
      refusalReason(() => verifyComplaint(context, { ...bad, hash: new Uint8Array(32) }, 2, complaint)),
    ).to.equal('session-mismatch');
    expect(refusalReason(() => verifyComplaint(context, good, 2, 'x'))).to.equal('complaint-malformed');
    // signed by party 2, but about a shared point that is not that of the honest dealing
    expect(verifyComplaint(context, good, 2, complaint)).to.deep.equal({
      guilty: 'complainer',
      party: 2,
      reason: 'complaint-proof-invalid',
    });
  });

  it('given a share that does not fit the commitments, when complained about, then the dealer is guilty', () => {
    const binding = shareBinding(context, 1, good.commitments)(2);
    const bad = cheating(context.group.ring.random(1).bytes, binding);
    expect(verifyComplaint(context, bad, 2, complain(bad)).reason).to.equal('share-inconsistent');
    const long = cheating(new Uint8Array(33), binding);
    expect(verifyComplaint(context, long, 2, complain(long)).guilty).to.equal('dealer');
  });

  it('given a good share, when complained about with a true shared point, then the complainer is guilty', () => {
    // The dealing that is shown to party 2 differs from the one that is judged only in party 1's commitments.
    const shown = { ...good, commitments: item(good.commitments, 0) };
    const opened = openShare(context, shown, 2, secrets[1]!);
    if (opened.ok) throw new Error('no complaint');
    expect(verifyComplaint(context, good, 2, opened.complaint)).to.deep.equal({
      guilty: 'complainer',
      party: 2,
      reason: 'complaint-unfounded',
    });
  });
});

describe('Party keys', () => {
  it('given a party key, when read for its election, then it is accepted, otherwise refused', () => {
    const { key } = createPartyKey('7');
    expect(readPartyKey(JSON.parse(JSON.stringify(key)), '7')).to.deep.equal(key);
    expect(refusalReason(() => readPartyKey(key, '8'))).to.equal('party-key-invalid');
    const other = createPartyKey('7').key;
    expect(refusalReason(() => readPartyKey({ ...key, encryption: other.encryption }, '7'))).to.equal(
      'signature-invalid',
    );
    expect(refusalReason(() => readPartyKey({ ...key, encryption: `04${'11'.repeat(64)}` }, '7'))).to.equal(
      'element-not-in-group',
    );
    expect(refusalReason(() => readPartyKey({ ...key, extra: 1 }, '7'))).to.equal('party-key-invalid');
  });

  it('given the same key twice or no possible threshold, when a context is made, then it is refused', () => {
    const { key } = createPartyKey('7');
    const p256 = groupByName('P-256');
    expect(refusalReason(() => keyContext('7', 's', p256, 1, [key, key]))).to.equal('party-key-invalid');
    expect(() => keyContext('7', 's', p256, 2, [key])).to.throw(RangeError);
  });
});
