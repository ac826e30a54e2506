import { cp, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { expect } from 'chai';
import { MixnetWorker } from '../../lib/mixnet/worker/client.ts';
import { sessionsOf } from '../../tasks/election/records.ts';
import { extractTarball } from '../../tasks/election/tar-extract.ts';
import { verifyTally } from '../../tasks/tally/verification.ts';
import { question, TestAuthorities } from '../support/elections.ts';
import { describedSteps } from '../support/specification.ts';

describe('verifying a published tally (EO-59)', function () {
  this.timeout(60_000);
  const test = new TestAuthorities();
  const mixnet = new MixnetWorker();
  let folder: string;
  let tarball: string;
  let first: string;
  let second: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'conclave-verified-'));
    await test.start(2);
    const questions = [question('President?', ['Alice', 'Bob']), question('Treasurer?', ['Carol', 'Dave'])];
    await test.create({ id: 1, questions });
    const lines = await test.ballots(1, [
      [[0], [1]],
      [[1], []],
      [[0], [0]],
    ]);
    expect((await test.tally(1, [...lines, 'nonsense'])).error).to.equal(null);
    tarball = join(test.published('auth2', 1), 'tally.tar.gz');
    await extractTarball(tarball, join(folder, 'tally'));
    const sessions = await sessionsOf(test.authorities[0]!.services.db, '1');
    [first, second] = sessions.map(({ sessionId }) => sessionId) as [string, string];
  });
  after(async () => {
    await test.close();
    await mixnet.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** The step that fails when something was done to a copy of the tally, with its reason; undefined: it is valid. */
  const found = async (spoil: (at: (...names: string[]) => string) => Promise<unknown>) => {
    const copy = await mkdtemp(join(folder, 'copy-'));
    await cp(join(folder, 'tally'), copy, { recursive: true });
    await spoil((...names) => join(copy, ...names));
    const { ok, steps, results } = await verifyTally(copy, { mixnet });
    const wrong = steps.find((step) => !step.ok);
    expect(ok).to.equal(wrong === undefined);
    expect(results === null).to.equal(!ok);
    return wrong === undefined
      ? undefined
      : `${wrong.id.replace(/^\d+-[-0-9a-f]{36}\//, 'session/')}: ${wrong.detail}`;
  };
  const edit = async (path: string, change: (text: string) => string): Promise<void> => {
    const before = await readFile(path, 'utf8');
    const after = change(before);
    expect(after, 'the manipulation must change something').not.to.equal(before);
    await writeFile(path, after);
  };
  const swap = async (one: string, other: string): Promise<void> => {
    await rename(one, `${one}.aside`);
    await rename(other, one);
    await rename(`${one}.aside`, other);
  };
  const withoutLine = (number: number) => (text: string) =>
    text
      .split('\n')
      .filter((_, at) => at !== number - 1)
      .join('\n');

  it('given the archive as it was published, or its folder, then it is valid, and says who made the keys', async () => {
    const steps: string[] = [];
    const verified = await verifyTally(tarball, { mixnet, onStep: ({ id }) => steps.push(id) });
    expect(verified.steps.filter(({ ok }) => !ok)).to.deep.equal([]);
    expect(verified.ok).to.equal(true);
    const headings = describedSteps();
    for (const { id, section } of verified.steps)
      expect(headings.get(section), id).to.equal(id.replace(/^.*\//, '').replace(/-\d+$/, ''));
    expect(new Set(steps).size).to.equal(steps.length);
    expect(steps).to.include.members([
      'archive',
      'hash',
      'layout',
      'ballots',
      'results',
      `${first}/key`,
      `${second}/shuffle-2`,
    ]);
    expect(verified.sessions.map(({ ciphertexts, threshold }) => ({ ciphertexts, threshold }))).to.deep.equal(
      [
        { ciphertexts: 3, threshold: 2 },
        { ciphertexts: 3, threshold: 2 },
      ],
    );
    expect(verified.authorities?.map(({ name }) => name)).to.deep.equal(['auth1', 'auth2']);
    expect(
      verified.results?.questions.map(({ answers }) => answers.map((answer) => answer.total_count)),
    ).to.deep.equal([
      [2, 1],
      [1, 1],
    ]);
    expect(await found(async () => {})).to.equal(undefined);
  });

  it('given an archive that is cut short, or has another hash than is announced, then it is refused', async () => {
    const bytes = await readFile(tarball);
    const path = join(folder, 'other.tar.gz');
    await writeFile(path, bytes.subarray(0, bytes.length - 600));
    const cut = await verifyTally(path, { mixnet });
    expect(cut.steps.map(({ id, ok }) => ({ id, ok }))).to.deep.equal([{ id: 'archive', ok: false }]);
    await writeFile(path, bytes);
    await writeFile(`${path}.sha256`, `${'A'.repeat(43)}=`);
    const { steps } = await verifyTally(path, { mixnet });
    expect(steps.at(-1)).to.include({ id: 'hash', ok: false });
  });

  const manipulations: [string, (at: (...names: string[]) => string) => Promise<unknown>, string | RegExp][] =
    [
      [
        'a changed result',
        (at) => edit(at('results_json'), (text) => text.replace('"total_count": 2', '"total_count": 3')),
        'results: results_json says something else',
      ],
      [
        'names of answers exchanged',
        (at) =>
          edit(at('questions_json'), (text) =>
            text.replace('Alice', 'Bob').replace(/Bob(?!.*Bob)/s, 'Alice'),
          ),
        'results: results_json says something else',
      ],
      [
        'an edited plaintext',
        (at) =>
          edit(at(first, 'plaintexts_json'), (text) =>
            text.replace(/\d/, (digit) => String((Number(digit) + 1) % 10)),
          ),
        'session/votes: plaintexts_json is not what the proofs prove',
      ],
      [
        'plaintexts in another order',
        (at) =>
          edit(
            at(first, 'plaintexts_json'),
            // By one place: that is another order, whatever it was.
            (text) => text.replace(/^("\d+"\n)((?:"\d+"\n)*)$/, (_, head, rest) => rest + head),
          ),
        'session/votes:',
      ],
      [
        'plaintexts of two questions exchanged',
        (at) => swap(at(first, 'plaintexts_json'), at(second, 'plaintexts_json')),
        'session/votes:',
      ],
      [
        'proofs of two questions exchanged',
        (at) => swap(at(first, 'proofs'), at(second, 'proofs')),
        'session/key: the proofs use another polynomial',
      ],
      [
        'keys of two questions exchanged',
        (at) => swap(at(first, 'publicKey_json'), at(second, 'publicKey_json')),
        'session/parameters: publicKey_json and pubkeys_json differ',
      ],
      [
        'key generations exchanged',
        (at) => swap(at(first, 'keygen_json'), at(second, 'keygen_json')),
        'session/key: the key was generated for another',
      ],
      [
        'a ballot dropped from a question',
        (at) => edit(at(first, 'ciphertexts_json'), withoutLine(2)),
        /^session\/ciphertexts: input-mismatch/,
      ],
      [
        'a ballot dropped from all lists',
        (at) => edit(at('ciphertexts_json'), withoutLine(2)),
        'ballots: the ballot in line 2 is not the one that was mixed',
      ],
      [
        'a ballot dropped from the whole ballots',
        (at) => edit(at('ballots_json'), withoutLine(3)),
        'ballots: more ballots were mixed than are shown',
      ],
      [
        'a ballot with another proof',
        (at) =>
          edit(at('ballots_json'), (text) =>
            text.replace(/(?<="response":"\d+)\d(?=")/, (digit) => (digit === '0' ? '1' : '0')),
          ),
        'ballots: the ballot in line 1: plaintext-proof-invalid',
      ],
      [
        'the whole ballots left out, and one joined ballot changed',
        async (at) => {
          await rm(at('ballots_json'));
          await edit(at('ciphertexts_json'), withoutLine(1));
        },
        'joined:',
      ],
      ['a file added', (at) => writeFile(at('readme'), ''), 'layout: readme is not part of a tally'],
      [
        'a file added to a question',
        (at) => writeFile(at(first, 'x'), ''),
        /^layout: .*x is not part of a tally/,
      ],
      [
        'a file added to the proofs',
        (at) => writeFile(at(first, 'proofs', 'proofs', 'PoSReply09.bt'), ''),
        /^session\/(shufflers|files): /,
      ],
      [
        'a file that is a link',
        async (at) => {
          await rm(at('results_json'));
          await symlink(join(folder, 'tally', 'results_json'), at('results_json'));
        },
        'layout: results_json is not a plain file',
      ],
      ['a file missing', (at) => rm(at('pubkeys_json')), 'layout: pubkeys_json is missing'],
      [
        'one key generation missing',
        (at) => rm(at(first, 'keygen_json')),
        'layout: keygen_json is there for some questions only',
      ],
      ['a session missing', (at) => rm(at(second), { recursive: true }), 'layout: there are sessions'],
      [
        'refused votes uncounted',
        (at) => edit(at('invalid_votes'), (text) => text.replace(/^1/, '0')),
        'layout: invalid_votes announces 0 and has 1 lines',
      ],
      [
        'a lower threshold',
        (at) => edit(at(first, 'protInfo.xml'), (text) => text.replace('<thres>2<', '<thres>1<')),
        'session/key: protInfo.xml is not that of the key generation',
      ],
      [
        'another certificate for the keys',
        async (at) => {
          const { certificate } = test.authorities[1]!;
          await edit(at(first, 'keygen_json'), (text) =>
            text.replace(/"certificate":"[^"]*"/, `"certificate":${JSON.stringify(certificate)}`),
          );
        },
        'session/key: the keys of auth1 are not signed with its certificate',
      ],
      [
        'a dealing that is not the promised one',
        (at) =>
          edit(at(first, 'keygen_json'), (text) =>
            text.replace(/"commitments":\["[0-9a-f]{2}(?=[0-9a-f]{62}")/, '"commitments":["00'),
          ),
        'session/key: dealing-commitment-mismatch',
      ],
      [
        'a shuffle that was changed',
        async (at) => {
          const bytes = await readFile(at(first, 'proofs', 'proofs', 'PoSReply02.bt'));
          bytes[bytes.length - 1]! ^= 1;
          await writeFile(at(first, 'proofs', 'proofs', 'PoSReply02.bt'), bytes);
        },
        /^session\/shuffle-2: shuffle-proof-invalid/,
      ],
    ];
  it('given any file of which one bit was changed, then the tally is refused, and never by an exception', async () => {
    const inside = await readdir(join(folder, 'tally', first), { recursive: true, withFileTypes: true });
    const files = inside
      .filter((entry) => entry.isFile() && entry.name !== 'keygen_json' && !entry.name.endsWith('02.bt'))
      .map((entry) => relative(join(folder, 'tally'), join(entry.parentPath, entry.name)));
    expect(files.length).to.be.greaterThan(15);
    for (const file of [...files, 'ballots_json', 'ciphertexts_json', 'pubkeys_json', 'results_json']) {
      const failed = await found(async (at) => {
        const bytes = await readFile(at(file));
        bytes[bytes.length >> 1]! ^= 1;
        await writeFile(at(file), bytes);
      });
      expect(failed, file).not.to.equal(undefined);
    }
  });

  for (const [what, spoil, reason] of manipulations)
    it(`given ${what}, then it is refused, and the reason says so`, async () => {
      const failed = await found(spoil);
      if (typeof reason === 'string') expect(failed).to.contain(reason);
      else expect(failed).to.match(reason);
    });
});
