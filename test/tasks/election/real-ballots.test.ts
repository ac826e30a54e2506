import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect } from 'chai';

import { type BallotSession, encryptBallot, verifyBallots } from '../../../lib/mixnet/ballots/ballot.ts';
import { groupByName } from '../../../lib/mixnet/groups/registry.ts';
import type { Ballot } from '../../../tasks/election/ballot.ts';
import {
  integerOfPlaintext,
  plaintextOfInteger,
  QuestionCodec,
} from '../../../tasks/election/ballot-encoding.ts';
import { GROUP_CAPACITY, GROUPS } from '../../../tasks/election/election.ts';
import { QuestionCount } from '../../../tasks/election/results.ts';
import { sortVotes, type VerifyBallots } from '../../../tasks/election/votes.ts';
import { question } from './requests.ts';

describe('ballots of the real groups', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'conclave-ballots-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  for (const [name, form] of GROUPS.flatMap((name) => [
    [name, 'messages'] as const,
    [name, 'integers'] as const,
  ])) {
    it(`given ${name} and plaintexts as ${form}, then votes are encoded, encrypted, sorted, decrypted and counted, and a forged one is refused`, async () => {
      const group = groupByName(name);
      const capacity = GROUP_CAPACITY[name];
      expect(capacity).to.equal(group.messageLength);
      const asked = question(4, { max: 2 }, [3]);
      const codec = new QuestionCodec(asked, capacity);
      const secret = group.ring.random(1);
      const key = { y: [group.powerOfFixed(group.generator, secret)] };
      const sessions: BallotSession[] = [{ electionId: '7', sessionId: '0-a', group, key }];
      // As messages and as integers: both are encodings of plaintexts in use.
      const encode = (bytes: Uint8Array) =>
        form === 'messages'
          ? group.encodeMessages([bytes])
          : group.encodeIntegers([integerOfPlaintext(bytes)]);
      const decode = (plain: Parameters<typeof group.decodeMessages>[0]): Uint8Array | undefined => {
        if (form === 'messages') return group.decodeMessages(plain)[0];
        const integer = group.decodeIntegers(plain)[0]!;
        return integer === null ? undefined : plaintextOfInteger(integer);
      };
      const cast = (answers: number[], text?: string): Ballot => {
        const bytes = codec.encode({ answers, writeIns: text === undefined ? [] : [{ id: 3, text }] });
        return encryptBallot(sessions, [encode(bytes)]);
      };
      const [one, two, three] = [cast([0, 2]), cast([]), cast([2, 3], 'Zoë')];
      const forged = { ...cast([1]), proofs: one!.proofs };

      const verify: VerifyBallots = async (ballots) =>
        verifyBallots(
          sessions,
          ballots.map(({ ballot }) => ballot),
        ).map((outcome) => (outcome.ok ? null : outcome.reason));
      const sorted = await sortVotes({
        votes: (async function* () {
          for (const ballot of [one, forged, two, three, one])
            yield Buffer.from(`${JSON.stringify(ballot)}\n`);
        })(),
        group: name,
        sessions: [{ id: '0-a', ciphertextsPath: join(folder, 'ciphertexts_json') }],
        invalidPath: join(folder, 'invalid_votes'),
        spoolPath: join(folder, 'spool'),
        verify,
      });
      expect(sorted.invalidByReason).to.deep.equal({ duplicate: 1, proof_invalid: 1 });

      const count = new QuestionCount(asked, capacity);
      for (const line of (await readFile(join(folder, 'ciphertexts_json'), 'utf8')).trim().split('\n')) {
        const { alpha, beta } = JSON.parse(line) as { alpha: string; beta: string };
        const mask = group.power(group.parseElement(alpha, 'alpha'), secret);
        const plain = group.multiply(group.parseElement(beta, 'beta'), group.invert(mask));
        count.add(decode(plain));
      }
      const result = count.result();
      expect(result.totals).to.deep.equal({ total_votes: 3, valid_votes: 2, blank_votes: 1, null_votes: 0 });
      expect(result.answers.map(({ total_count }) => total_count)).to.deep.equal([1, 0, 2, 1]);
      expect(result.write_ins).to.deep.equal([{ text: 'Zoë', total_count: 1 }]);
    });
  }
});
