/** Key generation and ballots as operations of a worker. */

import { type Ballot, type BallotRules, encryptBallot, verifyBallots } from '../ballots/ballot.ts';
import { serialise } from '../byte-tree/tree.ts';
import { ProductCodec } from '../elgamal/shape.ts';
import { type PublicKeyJson, publicKeyToJson } from '../formats/public-key-json.ts';
import { item } from '../groups/vectors.ts';
import { type Complaint, type Judgement, openShare, verifyComplaint } from '../keys/complaint.ts';
import { type CheckedDealing, checkDealing, type Dealing, deal } from '../keys/dealing.ts';
import { combineDealings, combineShares, type StoredShare, storeShare } from '../keys/joint-key.ts';
import type { KeyContext } from '../keys/key-context.ts';
import { type PartySecret, readPartySecret } from '../keys/party-key.ts';
import { polynomialTree } from '../keys/polynomial-in-exponent.ts';
import { fromHex, hex } from '../octets.ts';
import { Refusal, type RefusalReason } from '../refusal.ts';
import {
  type BallotSessionParameters,
  ballotSessionOf,
  contextOf,
  type KeyContextParameters,
} from './parameters.ts';

/** A dealing with the hash that its dealer published before; `dealing` is what was received, unchecked. */
export interface ReceivedDealing {
  readonly dealer: number;
  readonly hash: string;
  readonly dealing: unknown;
}

/** What a party finds in one received dealing. */
export type DealingOutcome =
  | { readonly dealer: number; readonly outcome: 'accepted' }
  /** Everyone sees this fault. */
  | {
      readonly dealer: number;
      readonly outcome: 'refused';
      readonly reason: RefusalReason;
      readonly detail: string;
    }
  /** Only the recipient sees it; the complaint shows it to the others. */
  | {
      readonly dealer: number;
      readonly outcome: 'complaint';
      readonly reason: RefusalReason;
      readonly complaint: Complaint;
    };

/** The session's key as everyone computes it, all in text. */
export interface JointKeyResult {
  readonly publicKey: PublicKeyJson;
  /** Byte tree in hex; it goes into the proof directory. */
  readonly polynomial: string;
  readonly confirmation: string;
  readonly dealers: readonly number[];
  /** Secret; only for the party that asked. */
  readonly share: StoredShare;
}

export const keyOperations = {
  deal(parameters: { context: KeyContextParameters; dealer: number; secret: PartySecret }): {
    dealing: Dealing;
    hash: string;
  } {
    const { dealing, hash } = deal(
      contextOf(parameters.context),
      parameters.dealer,
      readPartySecret(parameters.secret),
    );
    return { dealing, hash: hex(hash) };
  },

  /** Digest of a key context: equal at all authorities that were shown the same party keys. */
  contextDigest(parameters: { context: KeyContextParameters }): { digest: string } {
    return { digest: hex(contextOf(parameters.context).digest) };
  },

  openDealings(parameters: {
    context: KeyContextParameters;
    dealings: readonly ReceivedDealing[];
    party: number;
    secret: PartySecret;
  }): { outcomes: DealingOutcome[] } {
    const context = contextOf(parameters.context);
    const secret = readPartySecret(parameters.secret);
    const outcomes = parameters.dealings.map((received): DealingOutcome => {
      const { dealer } = received;
      try {
        const opened = openShare(context, check(context, received), parameters.party, secret);
        if (opened.ok) return { dealer, outcome: 'accepted' };
        return { dealer, outcome: 'complaint', reason: opened.reason, complaint: opened.complaint };
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        return { dealer, outcome: 'refused', reason: error.reason, detail: error.message };
      }
    });
    return { outcomes };
  },

  judgeComplaint(parameters: {
    context: KeyContextParameters;
    dealing: ReceivedDealing;
    complainer: number;
    complaint: unknown;
  }): Judgement {
    const context = contextOf(parameters.context);
    return verifyComplaint(
      context,
      check(context, parameters.dealing),
      parameters.complainer,
      parameters.complaint,
    );
  },

  /** `dealings` are the accepted ones, all of them and no others. */
  combineDealings(parameters: {
    context: KeyContextParameters;
    dealings: readonly ReceivedDealing[];
    party: number;
    secret: PartySecret;
  }): JointKeyResult {
    const context = contextOf(parameters.context);
    const secret = readPartySecret(parameters.secret);
    const checked = parameters.dealings.map((received) => check(context, received));
    const joint = combineDealings(context, checked);
    const shares = checked.map((dealing) => {
      const opened = openShare(context, dealing, parameters.party, secret);
      if (opened.ok) return opened;
      throw new Refusal(
        opened.reason,
        `the accepted dealing of party ${dealing.dealer} holds no share for us`,
      );
    });
    const share = combineShares(context, joint, parameters.party, shares);
    const codec = new ProductCodec(context.group, { width: 1, keyWidth: 1 });
    return {
      publicKey: publicKeyToJson(context.group, joint.publicKey),
      polynomial: hex(serialise(polynomialTree(codec, joint.polynomial))),
      confirmation: hex(joint.confirmation),
      dealers: joint.dealers,
      share: storeShare(context, parameters.party, share),
    };
  },

  /** `plaintexts[b][q]`: the integer, in decimal, of ballot b for question q. */
  encryptBallots(
    parameters: { sessions: readonly BallotSessionParameters[]; plaintexts: readonly (readonly string[])[] },
    progress: (step: string, done: number) => void,
  ): { ballots: Ballot[] } {
    const sessions = parameters.sessions.map(ballotSessionOf);
    const columns = sessions.map(({ group }, q) =>
      group.encodeIntegers(parameters.plaintexts.map((row) => BigInt(row[q]!))),
    );
    const ballots = parameters.plaintexts.map((_, b) => {
      if (b % 50 === 0) progress('encrypting ballots', b / parameters.plaintexts.length);
      return encryptBallot(
        sessions,
        columns.map((column) => item(column, b)),
      );
    });
    return { ballots };
  },

  /** One entry per ballot: `null` if it is valid, else why it is refused. */
  verifyBallots(
    parameters: {
      sessions: readonly BallotSessionParameters[];
      ballots: readonly unknown[];
      rules?: BallotRules;
    },
    progress: (step: string, done: number) => void,
  ): { refusals: ({ reason: RefusalReason; detail: string } | null)[] } {
    const sessions = parameters.sessions.map(ballotSessionOf);
    const { ballots, rules } = parameters;
    const outcomes = verifyBallots(sessions, ballots, rules ?? {}, (done) =>
      progress('verifying ballots', done / ballots.length),
    );
    return {
      refusals: outcomes.map((outcome) =>
        outcome.ok ? null : { reason: outcome.reason, detail: outcome.detail },
      ),
    };
  },
};

function check(context: KeyContext, { dealer, dealing, hash }: ReceivedDealing): CheckedDealing {
  const octets = fromHex(hash);
  if (octets === null)
    throw new Refusal('dealing-malformed', `the published hash of party ${dealer} is not in hex`);
  return checkDealing(context, dealer, dealing, octets);
}
