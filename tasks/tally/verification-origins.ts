/** What an archive shows of the beginnings: who made the keys and how, and that every ballot was cast as a whole. */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { fileNames } from '../../lib/mixnet/directory/file-names.ts';
import { type PublicKeyJson, publicKeyFromJson } from '../../lib/mixnet/formats/public-key-json.ts';
import type { MixnetWorker } from '../../lib/mixnet/worker/client.ts';
import type { Ballot } from '../election/ballot.ts';
import { compactJson } from '../election/canonical.ts';
import { electionKey } from '../election/election.ts';
import { LineTable } from '../election/line-table.ts';
import { verifyTranscript } from '../election/transcript.ts';
import { type Layout, linesOf, type PublishedTally, Wrong } from './published-tally.ts';

export interface VerifiedAuthority {
  readonly name: string;
  readonly url: string;
  /** SHA-256 of the certificate, upper-case hex with colons. */
  readonly fingerprint: string;
}

/** How many ballots are verified together. */
const BATCH = 256;

const ballotSchema = z.strictObject({
  choices: z.array(z.strictObject({ alpha: z.string(), beta: z.string() })).max(1000),
  proofs: z.array(z.unknown()).max(1000),
});
/** The key follows from the dealings, and everything that the proofs are about follows from the key generation. */
export async function checkKey(
  tally: PublishedTally,
  { electionId }: Layout,
  id: string,
  { protInfo, directory }: { protInfo: string; directory: string },
  publicKey: PublicKeyJson,
): Promise<VerifiedAuthority[]> {
  const generated = verifyTranscript(await tally.json(id, 'keygen_json'));
  const { transcript } = generated;
  if (transcript.election_id !== electionId || transcript.session_id !== id)
    throw new Wrong('the key was generated for another election or session');
  if (compactJson(generated.publicKey) !== compactJson(publicKey))
    throw new Wrong('the published key is not the one that was generated');
  if (generated.protInfo !== protInfo) throw new Wrong('protInfo.xml is not that of the key generation');
  const polynomial = await readFile(join(directory, fileNames.polynomial)).catch(() => null);
  if (polynomial !== null && !polynomial.equals(generated.polynomial))
    throw new Wrong('the proofs use another polynomial than the one that was generated');
  return transcript.authorities.map(({ name, url, certificate }) => {
    return { name, url, fingerprint: new X509Certificate(certificate).fingerprint256 };
  });
}

/** The rules for ballots that can be checked without knowing the voters: proofs, and no ciphertext twice. */
export async function checkBallots(
  tally: PublishedTally,
  { sessions, publicKeys, electionId }: Layout,
  { mixnet, signal }: { mixnet: MixnetWorker; signal?: AbortSignal },
): Promise<void> {
  const parameters = sessions.map((sessionId, at) => {
    return { electionId: electionKey(electionId), sessionId, publicKey: publicKeys[at]! };
  });
  const { group } = publicKeyFromJson(publicKeys[0]!);
  const rules = { acceptOriginalChallenge: group.kind === 'multiplicative' };
  const mixed = linesOf(tally.path('ciphertexts_json'))[Symbol.asyncIterator]();
  const seen = new LineTable();
  let line = 0;
  let batch: Ballot[] = [];
  const verify = async (): Promise<void> => {
    const first = line - batch.length + 1;
    const options = signal === undefined ? {} : { signal };
    const { refusals } = await mixnet.run(
      'verifyBallots',
      { sessions: parameters, ballots: batch, rules },
      options,
    );
    const wrong = refusals.findIndex((refusal) => refusal !== null);
    if (wrong !== -1) throw new Wrong(`the ballot in line ${first + wrong}: ${refusals[wrong]!.reason}`);
    batch = [];
  };
  for await (const text of linesOf(tally.path('ballots_json'))) {
    line += 1;
    const ballot = ballotSchema.parse(JSON.parse(text)) as Ballot;
    const { value, done } = await mixed.next();
    if (done === true || compactJson({ choices: ballot.choices }) !== value)
      throw new Wrong(`the ballot in line ${line} is not the one that was mixed`);
    for (const { alpha } of ballot.choices)
      if (seen.set(alpha, line) !== undefined)
        throw new Wrong(`the ballot in line ${line} has a ciphertext that was there before`);
    batch.push(ballot);
    if (batch.length === BATCH) await verify();
  }
  if ((await mixed.next()).done !== true) throw new Wrong('more ballots were mixed than are shown');
  if (batch.length > 0) await verify();
}
