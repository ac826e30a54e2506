/** A small election for the tests: party keys, a distributed key, ciphertexts, a complete proof directory. */
import {
  assembleDecryption,
  commitToFactors,
  failingDecryptors,
  replyToCommitments,
  writeFactors,
} from '../../lib/mixnet/directory/decryption-step.ts';
import { fileNames } from '../../lib/mixnet/directory/file-names.ts';
import { MemoryProofFiles, type ProofFiles } from '../../lib/mixnet/directory/proof-files.ts';
import { beginSession } from '../../lib/mixnet/directory/session-start.ts';
import { shuffleList, verifyShuffleOf } from '../../lib/mixnet/directory/shuffle-step.ts';
import { type Ciphertexts, encrypt } from '../../lib/mixnet/elgamal/ciphertexts.ts';
import { componentCount } from '../../lib/mixnet/elgamal/shape.ts';
import { groupByName } from '../../lib/mixnet/groups/registry.ts';
import type { Elements, Scalars } from '../../lib/mixnet/groups/vectors.ts';
import { openShare } from '../../lib/mixnet/keys/complaint.ts';
import { checkDealing, deal, evaluate } from '../../lib/mixnet/keys/dealing.ts';
import { combineDealings, combineShares, type JointKey } from '../../lib/mixnet/keys/joint-key.ts';
import { type KeyContext, keyContext } from '../../lib/mixnet/keys/key-context.ts';
import { createPartyKey, type PartySecret } from '../../lib/mixnet/keys/party-key.ts';
import {
  jointKey,
  type PolynomialInExponent,
  polynomialOf,
} from '../../lib/mixnet/keys/polynomial-in-exponent.ts';
import { newProtocolInfo } from '../../lib/mixnet/session/new-protocol-info.ts';
import type { ProtocolInfo } from '../../lib/mixnet/session/protocol-info.ts';
import { MixSession } from '../../lib/mixnet/session/session.ts';

export interface Parties {
  readonly context: KeyContext;
  readonly secrets: readonly PartySecret[];
}

export function makeParties(
  group: string,
  parties: number,
  threshold: number,
  sessionId = 'session1',
): Parties {
  const made = Array.from({ length: parties }, () => createPartyKey('42'));
  const keys = made.map(({ key }) => key);
  return {
    context: keyContext('42', sessionId, groupByName(group), threshold, keys),
    secrets: made.map(({ secret }) => secret),
  };
}

/** Every party deals honestly; the joint key and all shares. */
export function generateKey({ context, secrets }: Parties): { key: JointKey; shares: Scalars[] } {
  const dealings = secrets.map((secret, i) => deal(context, i + 1, secret));
  const checked = dealings.map(({ dealing, hash }, i) => checkDealing(context, i + 1, dealing, hash));
  const key = combineDealings(context, checked);
  const shares = secrets.map((secret, i) => {
    const opened = checked.map((dealing) => openShare(context, dealing, i + 1, secret));
    return combineShares(
      context,
      key,
      i + 1,
      opened.map((share) => {
        if (!share.ok) throw new Error(`complaint about dealer ${share.dealer}`);
        return share;
      }),
    );
  });
  return { key, shares };
}

/** A trusted dealer's polynomial of any key width: shares by party, then key part. */
export function trustedKey(session: MixSession): { polynomial: PolynomialInExponent; shares: Scalars[][] } {
  const { group, parties, threshold, shape } = session;
  const polynomials = Array.from({ length: shape.keyWidth }, () => group.ring.random(threshold));
  return {
    polynomial: polynomialOf(
      group,
      polynomials.map((p) => group.powerOfFixed(group.generator, p)),
    ),
    shares: Array.from({ length: parties }, (_, i) => polynomials.map((p) => evaluate(group, p, i + 1))),
  };
}

export interface TestSession {
  readonly info: ProtocolInfo;
  readonly session: MixSession;
}

export function makeSession(
  group: string,
  parties: number,
  threshold: number,
  { width = 1, keyWidth = 1, info = {} as Partial<ProtocolInfo> } = {},
): TestSession {
  const made = newProtocolInfo({
    sid: 'Test42',
    name: 'Test election',
    group,
    threshold,
    width,
    keyWidth,
    parties: Array.from({ length: parties }, (_, i) => ({
      name: `Party${i + 1}`,
      url: `https://party${i + 1}.example`,
    })),
  });
  const full = { ...made, ...info };
  return { info: full, session: new MixSession(full) };
}

/** `count` messages 'vote c i' per component, encrypted. */
export function makeCiphertexts(
  session: MixSession,
  polynomial: PolynomialInExponent,
  count: number,
): { plaintexts: Elements[]; list: Ciphertexts } {
  const { group, codec, shape } = session;
  const components = Array.from({ length: componentCount(shape) }, (_, c) => c);
  const plaintexts = components.map((c) =>
    group.encodeMessages(Array.from({ length: count }, (_, i) => new TextEncoder().encode(`vote ${c} ${i}`))),
  );
  const randomness = components.map(() => group.ring.random(count));
  return { plaintexts, list: encrypt(codec, jointKey(polynomial), plaintexts, randomness) };
}

/** Begins a directory and lets the given parties shuffle and be verified. Returns the last shuffler. */
export function mixAll(
  session: MixSession,
  files: ProofFiles,
  polynomial: PolynomialInExponent,
  list: Ciphertexts,
  shufflers: readonly number[],
): number {
  const key = jointKey(polynomial);
  beginSession(session, files, {
    type: shufflers.length === 0 ? 'decryption' : 'mixing',
    key,
    polynomial,
    list,
  });
  let from = 0;
  for (const party of shufflers) {
    shuffleList(session, files, { key, party, from });
    verifyShuffleOf(session, files, { key, party, from });
    from = party;
  }
  return from;
}

/** All three rounds of the active parties, checked and assembled. */
export function decryptAll(
  session: MixSession,
  files: ProofFiles,
  shares: readonly (readonly Scalars[])[],
  from: number,
  active: readonly number[],
): Elements[] {
  const parameters = { from, active };
  for (const party of active) writeFactors(session, files, party, from, shares[party - 1]!);
  const secrets = new Map<number, Uint8Array>();
  const commitments = active.map((party) => {
    const { secret, commitment } = commitToFactors(session, files, party, parameters);
    secrets.set(party, secret);
    return commitment;
  });
  active.forEach((party, i) => {
    files.write(fileNames.decryptionCommitment(party), commitments[i]!);
  });
  for (const party of active) {
    const { reply } = replyToCommitments(session, files, parameters, shares[party - 1]!, secrets.get(party)!);
    files.write(fileNames.decryptionReply(party), reply);
  }
  const failing = failingDecryptors(session, files, parameters);
  const correct = active.filter((party) => !failing.includes(party));
  return assembleDecryption(session, files, parameters, correct);
}

/** The decoded messages of a list of plaintexts, sorted. */
export function messagesOf(session: MixSession, plaintexts: readonly Elements[]): string[] {
  const columns = plaintexts.map((v) =>
    session.group.decodeMessages(v).map((m) => new TextDecoder().decode(m)),
  );
  return columns[0]!.map((_, i) => columns.map((column) => column[i]).join('|')).sort();
}

export const newFiles = (): MemoryProofFiles => new MemoryProofFiles();
