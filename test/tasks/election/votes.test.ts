import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect } from 'chai';
import fc from 'fast-check';

import { parseVoteLine, REFUSAL_REASONS } from '../../../tasks/election/ballot.ts';
import { LineTable } from '../../../tasks/election/line-table.ts';
import { hashOfSessions, type SortVotesOptions, sortVotes } from '../../../tasks/election/votes.ts';

interface Entry {
  alpha: string;
  beta: string;
}

/** A ballot modulo a prime whose proofs are well spelt; `alphas` are its ciphertexts. */
function ballot(...alphas: (number | Entry)[]): string {
  const choices = alphas.map((alpha) =>
    typeof alpha === 'number' ? { beta: '5', alpha: String(alpha) } : alpha,
  );
  const proofs = alphas.map(() => ({ commitment: '3', challenge: '4', response: '5' }));
  return JSON.stringify({ choices, proofs, issue_date: 'x|y' });
}

async function* inPieces(text: string, size: number): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

describe('a line of the votes file (EO-33)', () => {
  const reasonOf = (line: string | Uint8Array, questions = 1): string => {
    const parsed = parseVoteLine(typeof line === 'string' ? Buffer.from(line) : line, 'modp-2048', questions);
    return 'refusal' in parsed ? parsed.refusal.reason : 'accepted';
  };

  it('given a ballot alone, with a voter id, or in CSV quotes, then it is the same ballot', () => {
    const json = ballot(7);
    const csv = `"${json.replaceAll('"', '""')}"`;
    const lines: [string, string | null][] = [
      [json, null],
      [`${json}|`, null],
      [`${json}|v-1`, 'v-1'],
      [`${csv}|v-1`, 'v-1'],
      [`${json}|"v""1|2"`, 'v"1|2'],
      [csv, null],
    ];
    for (const [line, voterId] of lines) {
      const parsed = parseVoteLine(Buffer.from(line), 'modp-2048', 1);
      expect(parsed, line).to.deep.equal({
        ballot: {
          choices: [{ alpha: '7', beta: '5' }],
          proofs: [{ commitment: '3', challenge: '4', response: '5' }],
        },
        voterId,
      });
    }
  });

  it('given a ballot with | and braces inside its strings, then it ends where its object ends', () => {
    const json = JSON.stringify({ ...JSON.parse(ballot(1)), note: '}|{"\\|' });
    const parsed = parseVoteLine(Buffer.from(`${json}|me`), 'modp-2048', 1);
    expect(parsed).to.have.property('voterId', 'me');
  });

  it('given P-256, then points are lower-case hex of the uncompressed form, and nothing else (D45)', () => {
    const point = `04${'ab'.repeat(64)}`;
    const line = (alpha: string): string =>
      JSON.stringify({
        choices: [{ alpha, beta: point }],
        proofs: [{ commitment: point, challenge: '1', response: '2' }],
      });
    const reasonFor = (alpha: string): string => {
      const parsed = parseVoteLine(Buffer.from(line(alpha)), 'P-256', 1);
      return 'refusal' in parsed ? parsed.refusal.reason : 'accepted';
    };
    expect(reasonFor(point)).to.equal('accepted');
    for (const bad of [
      point.toUpperCase(),
      `02${'ab'.repeat(32)}`,
      `${point}00`,
      '7',
      ` ${point}`,
      `${point}\n`,
      '00',
    ]) {
      expect(reasonFor(bad), bad).to.equal('bad_ciphertext');
    }
  });

  it('given a line that is no ballot, then its reason says which rule it breaks', () => {
    const cases: [string, string | Uint8Array, number?][] = [
      ['not_a_ballot', 'hello'],
      ['not_a_ballot', '[]'],
      ['not_a_ballot', '{"choices"'],
      ['not_a_ballot', '{]}'],
      ['not_a_ballot', `${ballot(1)}x`],
      ['not_a_ballot', `"${ballot(1)}"`],
      ['not_a_ballot', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
      ['not_a_ballot', ballot(1).replace('{', '{"choices":[],')],
      ['not_a_ballot', `{"a":${'['.repeat(100)}${']'.repeat(100)}}`],
      ['bad_voter_id', `${ballot(1)}|a\tb`],
      ['bad_voter_id', `${ballot(1)}|${'x'.repeat(257)}`],
      ['bad_voter_id', `${ballot(1)}|"x`],
      ['wrong_number_of_choices', ballot(1, 2)],
      ['wrong_number_of_choices', ballot(1), 2],
      ['wrong_number_of_choices', '{}'],
      ['wrong_number_of_choices', '{"choices":{"length":1}}'],
      ['wrong_number_of_proofs', '{"choices":[{"alpha":"1","beta":"2"}],"proofs":[]}'],
      ['bad_ciphertext', ballot({ alpha: '07', beta: '5' })],
      ['bad_ciphertext', ballot({ alpha: '-7', beta: '5' })],
      ['bad_ciphertext', ballot({ alpha: '0x7', beta: '5' })],
      ['bad_ciphertext', ballot({ alpha: '7', beta: '9'.repeat(618) })],
      ['bad_ciphertext', '{"choices":[null],"proofs":[null]}'],
      ['bad_ciphertext', '{"choices":[{"alpha":7,"beta":5}],"proofs":[{}]}'],
      ['bad_proof', ballot(1).replace('"challenge":"4"', '"challenge":4')],
      ['bad_proof', ballot(1).replace('"response":"5"', '"response":"+5"')],
    ];
    for (const [reason, line, questions] of cases)
      expect(reasonOf(line, questions), String(line).slice(0, 80)).to.equal(reason);
  });

  it('given any bytes, then they are refused with a known reason or read, and never break the reader', () => {
    const spoiled = fc
      .tuple(fc.constantFrom(ballot(1), `${ballot(1, 2)}|v`), fc.nat(), fc.uint8Array({ maxLength: 4 }))
      .map(([line, at, bytes]) =>
        Buffer.concat([
          Buffer.from(line).subarray(0, at % line.length),
          bytes,
          Buffer.from(line).subarray(at % line.length),
        ]),
      );
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), spoiled), (bytes) => {
        const parsed = parseVoteLine(bytes, 'modp-2048', 1);
        if ('refusal' in parsed) expect(REFUSAL_REASONS).to.have.property(parsed.refusal.reason);
        else expect(parsed.ballot.choices).to.have.lengthOf(1);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('sorting the votes', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'conclave-votes-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  const sort = (text: string, options: Partial<SortVotesOptions> & { piece?: number } = {}) =>
    sortVotes({
      votes: inPieces(text, options.piece ?? 1000),
      group: 'modp-2048',
      sessions: [{ id: '0-a', ciphertextsPath: join(folder, 'ciphertexts_json') }],
      invalidPath: join(folder, 'invalid_votes'),
      spoolPath: join(folder, 'spool'),
      verify: async (ballots) => ballots.map(() => null),
      ...options,
    });
  const read = (name: string): Promise<string> => readFile(join(folder, name), 'utf8');
  const accepted = async (): Promise<string[]> =>
    (await read('ciphertexts_json'))
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line).alpha);
  const refused = async (): Promise<{ line: number; reason: string; of?: number }[]> =>
    (await read('invalid_votes'))
      .split('\n')
      .slice(1)
      .filter(Boolean)
      .map((line) => JSON.parse(line));

  it('given ballots of two questions, then each session has its ciphertexts, compact, with sorted keys, in order', async () => {
    const sessions = ['0-a', '1-b'].map((id) => ({ id, ciphertextsPath: join(folder, id) }));
    const result = await sort(`${ballot(1, 2)}|x\n${ballot(3, 4)}|y\r\n\n${ballot(5, 6)}`, { sessions });
    expect(result).to.include({ lines: 3, accepted: 3, invalid: 0 });
    expect(await read('0-a')).to.equal(
      '{"alpha":"1","beta":"5"}\n{"alpha":"3","beta":"5"}\n{"alpha":"5","beta":"5"}\n',
    );
    expect(await read('1-b')).to.equal(
      '{"alpha":"2","beta":"5"}\n{"alpha":"4","beta":"5"}\n{"alpha":"6","beta":"5"}\n',
    );
    expect(await read('invalid_votes')).to.equal('0\n');
    const hash = createHash('sha256')
      .update(await read('1-b'))
      .digest('hex');
    expect(result.sessions[1]).to.deep.equal({ id: '1-b', sha256: hash });
    expect(result.acceptedHash).to.equal(hashOfSessions(result.sessions));
    expect((await readdir(folder)).sort()).to.deep.equal(['0-a', '1-b', 'invalid_votes']);
  });

  it('given a voter who voted three times, then the last ballot counts and the others are listed as superseded', async () => {
    const result = await sort(
      [`${ballot(1)}|ann`, `${ballot(2)}|bob`, `${ballot(3)}|ann`, `${ballot(4)}|ann`].join('\n'),
    );
    expect(await accepted()).to.deep.equal(['2', '4']);
    expect(await refused()).to.deep.include.members([
      { line: 1, reason: 'superseded', detail: "the voter's ballot in line 4 counts", of: 4 },
      { line: 3, reason: 'superseded', detail: "the voter's ballot in line 4 counts", of: 4 },
    ]);
    expect(result.invalidByReason).to.deep.equal({ superseded: 2 });
    expect(await read('invalid_votes')).to.not.include('ann');
  });

  it('given ballots without voter ids, then each is a voter of its own', async () => {
    expect(await sort([ballot(1), `${ballot(2)}|`, ballot(3)].join('\n'))).to.include({
      accepted: 3,
      invalid: 0,
    });
  });

  it('given a voter whose last ballot is not valid, then the last valid one counts', async () => {
    await sort([`${ballot(1)}|ann`, `${ballot(2)}|ann`, `{}|ann`].join('\n'));
    expect(await accepted()).to.deep.equal(['2']);
  });

  it('given a ballot copied by another voter, then the copy is refused, also when its beta differs or its victim votes again', async () => {
    const copy = ballot({ alpha: '1', beta: '99' });
    await sort([`${ballot(1)}|ann`, `${copy}|eve`, `${ballot(2)}|ann`, `${ballot(1)}|eve`].join('\n'));
    expect(await accepted()).to.deep.equal(['2']);
    expect((await refused()).map(({ line, reason, of }) => [line, reason, of])).to.deep.equal([
      [1, 'superseded', 3],
      [2, 'duplicate', 1],
      [4, 'duplicate', 1],
    ]);
  });

  it('given a ciphertext copied from another question, or twice in one ballot, then the ballot is refused', async () => {
    const sessions = ['0-a', '1-b'].map((id) => ({ id, ciphertextsPath: join(folder, id) }));
    await sort([ballot(1, 2), ballot(9, 1), ballot(3, 3)].join('\n'), { sessions });
    expect((await refused()).map(({ line, reason }) => [line, reason])).to.deep.equal([
      [2, 'duplicate'],
      [3, 'duplicate'],
    ]);
  });

  it('given a ballot whose proof fails, then it is refused and takes nobody’s place (X: proofs were no longer checked)', async () => {
    const verify: SortVotesOptions['verify'] = async (ballots) =>
      ballots.map(({ line }) => (line === 1 ? 'the response does not fit' : null));
    await sort([`${ballot(1)}|eve`, `${ballot(1)}|ann`].join('\n'), { verify });
    expect(await accepted()).to.deep.equal(['1']);
    expect(await refused()).to.deep.equal([
      { line: 1, reason: 'proof_invalid', detail: 'the response does not fit' },
    ]);
  });

  it('given any split into chunks, batches and parallel ones, then the files are the same bytes', async () => {
    const lines = Array.from({ length: 60 }, (_, at) =>
      at % 7 === 3 ? 'nonsense' : `${ballot(at % 50)}|v${at % 20}`,
    );
    const text = lines.join('\n');
    const results = [];
    for (const options of [
      { piece: 1, batch: 1, parallel: 1 },
      { piece: 7, batch: 5, parallel: 3 },
      { piece: 9999, batch: 100 },
    ]) {
      results.push([await sort(text, options), await read('ciphertexts_json'), await read('invalid_votes')]);
    }
    expect(results[1]).to.deep.equal(results[0]);
    expect(results[2]).to.deep.equal(results[0]);
    expect((results[0]![0] as { accepted: number }).accepted).to.be.greaterThan(0);
  });

  it('given a line beyond the bound, then it is refused without being kept, and the next is read', async () => {
    await sort(`${'x'.repeat(5000)}\n${ballot(1)}\n${'y'.repeat(3000)}`, { maxLineBytes: 500, piece: 100 });
    expect(await accepted()).to.deep.equal(['1']);
    expect((await refused()).map(({ line, reason }) => [line, reason])).to.deep.equal([
      [1, 'line_too_long'],
      [3, 'line_too_long'],
    ]);
  });

  it('given a file of hundreds of megabytes on one line, then memory stays small', async () => {
    const piece = Buffer.alloc(1 << 20, '{');
    async function* votes(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < 300; at += 1) yield piece;
    }
    const before = process.memoryUsage().arrayBuffers;
    let most = 0;
    async function* watched(): AsyncGenerator<Uint8Array> {
      for await (const chunk of votes()) {
        most = Math.max(most, process.memoryUsage().arrayBuffers - before);
        yield chunk;
      }
    }
    expect(await sort('', { votes: watched() })).to.include({ accepted: 0, invalid: 1 });
    expect(most).to.be.lessThan(50 << 20);
  });

  it('given an empty file, then nothing is accepted and the lists are empty', async () => {
    expect(await sort('')).to.include({ lines: 0, accepted: 0, invalid: 0 });
    expect(await read('ciphertexts_json')).to.equal('');
  });

  it('given a verification or a download that fails, then the error arrives and no file is left', async () => {
    const verify = async (): Promise<never> => Promise.reject(new Error('no workers'));
    const text = [1, 2, 3, 4].map((alpha) => ballot(alpha)).join('\n');
    const outcome = await sort(text, { verify, batch: 1, parallel: 3 }).catch(
      (error: Error) => error.message,
    );
    expect(outcome).to.equal('no workers');
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.from(`${ballot(1)}\n`);
      throw new Error('cut off');
    }
    expect(await sort('', { votes: broken() }).catch((error: Error) => error.message)).to.equal('cut off');
    expect(await readdir(folder)).to.deep.equal([]);
  });

  it('given a verification that answers for too few ballots, then that is an error, not an acceptance', async () => {
    const outcome = await sort(ballot(1), { verify: async () => [] }).catch((error: Error) => error.message);
    expect(outcome).to.include('gave 0 verdicts');
  });

  it('given an abort, then it stops and leaves nothing', async () => {
    const outcome = await sort(ballot(1), { signal: AbortSignal.abort(new Error('enough')) }).catch(
      (error: Error) => error.message,
    );
    expect(outcome).to.equal('enough');
    expect(await readdir(folder)).to.deep.equal([]);
  });
});

describe('the table of lines', () => {
  it('given many texts, then it answers as a Map does', () => {
    const table = new LineTable();
    const map = new Map<string, number>();
    for (let line = 1; line <= 20_000; line += 1) {
      const text = `voter ${(line * 7919) % 12_000}`;
      expect(table.set(text, line)).to.equal(map.get(text));
      map.set(text, line);
    }
    for (const [text, line] of map) expect(table.get(text)).to.equal(line);
    expect(table.get('nobody')).to.equal(undefined);
    expect(table.size).to.equal(map.size);
  });
});
