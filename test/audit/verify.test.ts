/* Who tampers with a log, in its database or in an export, is found out, and what was done is named (D24). */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import type { Knex } from 'knex';
import { entryHash, makeBlock, type Signer } from '../../lib/audit/block.ts';
import { type ReadRecord, readExport, writeExport } from '../../lib/audit/export-file.ts';
import { type ExportRecord, recordLine, UnusableExport } from '../../lib/audit/export-format.ts';
import { Sealer } from '../../lib/audit/sealer.ts';
import { type Verification, verifyLogs } from '../../lib/audit/verify.ts';
import type { LogSource } from '../../lib/audit/verify-chain.ts';
import { Trust } from '../../lib/audit/verify-trust.ts';
import { systemClock } from '../../lib/engine/clock.ts';
import { defineTask } from '../../lib/engine/definitions.ts';
import { simple } from '../../lib/engine/tree.ts';
import { createNodeCertificate, type NodeCertificate } from '../../lib/node/certificates.ts';
import { pinCertificate } from '../../lib/protocol/certificate.ts';
import { createTrailStore, record } from '../../lib/store/audit.ts';
import { exportRecords } from '../../lib/store/audit-export.ts';
import { insertPeer } from '../../lib/store/peers.ts';
import { TestFederation, type TestNode, until } from '../support/nodes.ts';

const queue = 'work';
const leewayMilliseconds = 0;
type Identity = NodeCertificate & { signer: Signer & { pem: string } };

describe('verification of logs (D24)', function () {
  this.timeout(60_000);
  const federation = new TestFederation();
  const identities = new Map<string, Identity>();
  let folder: string;
  let a: TestNode;
  let b: TestNode;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'conclave-log-'));
    const definitions = [defineTask({ queue, action: 'echo' }, (task) => task.input)];
    a = await federation.add('a', { definitions });
    b = await federation.add('b', { definitions });
    for (const { name } of [a, b]) identities.set(name, await identity(name));
    await know(a, b);
    await know(b, a);
    for (let round = 0; round < 4; round += 1) {
      await a.engine.ended(
        await a.engine.create(simple({ queue, action: 'echo', receiver: b.url, data: { round } })),
      );
      // What one node says it has delivered, the federation of tests does not enter.
      await acknowledge(a);
      await acknowledge(b);
      await record(a.database.knex, { kind: 'note', by: 'tests', round });
      await seal(a);
      await seal(b);
    }
    await until('both ends', async () => (await count(b)) >= 4);
    await keepHead(b, a);
    for (const node of [a, b]) {
      await record(node.database.knex, { kind: 'stop', by: 'tests' });
      await seal(node);
    }
  });
  after(async () => {
    await federation.close();
    await rm(folder, { recursive: true, force: true });
  });

  async function identity(name: string): Promise<Identity> {
    const made = await createNodeCertificate({ name, hosts: ['127.0.0.1'] });
    return { ...made, signer: signerOf(made.privateKey, made.fingerprint, made.certificate) };
  }

  function signerOf(key: string | KeyObject, certificate: string, pem: string): Identity['signer'] {
    return { certificate, pem, sign: (data) => sign('sha256', data, key) };
  }

  async function know(node: TestNode, { name, url }: TestNode): Promise<void> {
    const certificates = [pinCertificate(identities.get(name)!.certificate)];
    await insertPeer(node.database.knex, {
      ...{ id: name, name, url, certificates, roles: ['authority'], dialect: 'conclave' },
    });
  }

  async function acknowledge({ database }: TestNode): Promise<void> {
    const { rows } = await database.knex.raw(
      `select id, peer_id from messages where not is_received and not exists
         (select 1 from log_entries where entries like '%"delivered"%' and strpos(entries, messages.id) > 0)`,
    );
    const date = new Date().toISOString();
    for (const { id, peer_id } of rows)
      await createTrailStore(database.knex).record([
        `{"date":"${date}","kind":"delivered","messages":["${id}"],"peer":"${peer_id}"}`,
      ]);
  }

  async function seal(node: TestNode): Promise<void> {
    const { signer } = identities.get(node.name)!;
    await new Sealer({
      store: createTrailStore(node.database.knex),
      clock: systemClock,
      node: node.url,
      signer: () => signer,
      log: { error: () => {} },
    }).seal();
  }

  async function count({ database }: TestNode): Promise<number> {
    const { rows } = await database.knex.raw('select count(*)::integer as count from log_blocks');
    return rows[0].count;
  }

  /** The last head of one is kept by the other. */
  async function keepHead(keeper: TestNode, of: TestNode): Promise<void> {
    const { head } = await createTrailStore(of.database.knex).look();
    const { certificate: pem } = identities.get(of.name)!;
    await createTrailStore(keeper.database.knex).keepHead(
      { ...head!, peerId: of.name, pem, firstSeen: new Date(), kept: 'latest' },
      [],
    );
  }

  const pins = (...names: string[]) =>
    new Trust(
      names.map((name) => {
        const { fingerprint, certificate: pem } = identities.get(name)!;
        return { fingerprint, pem, node: federation.nodes.get(name)!.url };
      }),
    );

  async function recordsOf(node: TestNode): Promise<ExportRecord[]> {
    const { fingerprint, certificate: pem } = identities.get(node.name)!;
    const options = { node: node.url, name: node.name, certificate: { fingerprint, pem }, now: new Date() };
    const records: ExportRecord[] = [];
    for await (const each of exportRecords(node.database.knex, options)) records.push(each);
    return records;
  }

  function inMemory(name: string, records: readonly ExportRecord[]): LogSource {
    return {
      ...{ name, signed: false },
      async *records(): AsyncGenerator<ReadRecord> {
        for (const each of records) yield { record: each };
      },
    };
  }

  const inFile = (path: string): LogSource => ({ name: path, signed: true, records: () => readExport(path) });

  const codes = ({ findings }: Verification) => [...new Set(findings.map(({ code }) => code))].sort();

  /** Verifies a database in which somebody who has its password has changed something; then changes it back. */
  async function tampered(node: TestNode, ...statements: string[]): Promise<Verification> {
    const { knex } = node.database;
    await save(knex);
    try {
      for (const statement of statements) await knex.raw(statement);
      return await verifyLogs([inMemory(node.name, await recordsOf(node))], pins('a', 'b'), {
        leewayMilliseconds,
      });
    } finally {
      await restore(knex);
    }
  }

  async function save(knex: Knex): Promise<void> {
    for (const table of ['log_blocks', 'log_entries']) {
      await knex.raw(`alter table ${table} disable trigger user`);
      await knex.raw(`create table saved_${table} as select * from ${table}`);
    }
  }

  async function restore(knex: Knex): Promise<void> {
    for (const table of ['log_blocks', 'log_entries']) {
      await knex.raw(`delete from ${table}`);
      await knex.raw(`insert into ${table} overriding system value select * from saved_${table}`);
      await knex.raw(`drop table saved_${table}`);
      await knex.raw(`alter table ${table} enable trigger user`);
    }
  }

  /** The log as somebody has it who makes it anew. */
  function rewritten(records: readonly ExportRecord[], signer: Signer, change: (line: string) => string) {
    const made: ExportRecord[] = [];
    let previous: { number: number; hash: string } | null = null;
    const blocks = records.filter((each) => each.type === 'block');
    for (const { number, header } of blocks) {
      const lines = records.flatMap((each) =>
        each.type === 'entry' && each.block === number ? [change(each.line)] : [],
      );
      const { node, date } = JSON.parse(header);
      const hashes = lines.map((line) => entryHash(line));
      const block = makeBlock({ node, previous, date: new Date(date), hashes, signer });
      previous = block;
      const { hash, signature } = block;
      made.push({ type: 'block', number, hash, header: block.header, signature, hashes });
      for (const [at, line] of lines.entries()) made.push({ type: 'entry', at, block: number, line });
    }
    return [records[0]!, ...made, ...records.filter((each) => each.type === 'head')];
  }

  const spoil = (line: string) => line.replace('"by":"tests"', '"by":"nobody"');

  it('given two logs as they were made, when they are verified, then they are valid', async () => {
    const sources = [inMemory('a', await recordsOf(a)), inMemory('b', await recordsOf(b))];
    const verification = await verifyLogs(sources, pins('a', 'b'), { leewayMilliseconds });
    expect(verification.findings).to.deep.equal([]);
    expect(verification.verdict).to.equal('valid');
    expect(verification.logs.map(({ messages }) => messages > 0)).to.deep.equal([true, true]);
  });

  for (const [what, statement, expected] of [
    [
      'edits an entry',
      `update log_entries set entries = replace(entries, '"by":"tests"', '"by":"nobody"') where block = 2`,
      ['edited_entry'],
    ],
    [
      'edits an entry and its hash',
      `update log_entries set entries = replace(entries, '"by":"tests"', '"by":"nobody"'),
         hashes = set_byte(hashes, 3, 255 - get_byte(hashes, 3)) where block = 2 and entries like '%"by":"tests"%'`,
      ['edited_entry'],
    ],
    ['removes a block', 'delete from log_blocks where number = 2', ['removed_block']],
    ['removes the first block', 'delete from log_blocks where number = 1', ['removed_block']],
    [
      'removes an entry',
      `delete from log_entries where block = 2 and entries like '%"by":"tests"%'`,
      ['removed_entry'],
    ],
    [
      'inserts an entry',
      `insert into log_entries (block, count, entries, hashes) values
         (2, 1, '{"date":"2026-01-01T00:00:00.000Z","kind":"x"}', sha256('x'))`,
      ['inserted_entry'],
    ],
    [
      'swaps two entries',
      `update log_entries one set entries = two.entries from log_entries two
       where one.block = 2 and two.block = 2 and one.id <> two.id and one.count = 1 and two.count = 1
         and one.id in (select id from log_entries where block = 2 and count = 1 order by id limit 2)
         and two.id in (select id from log_entries where block = 2 and count = 1 order by id limit 2)`,
      ['reordered_entry'],
    ],
    [
      'inserts a block at the end',
      `insert into log_blocks select number + 100, 'f' || substr(hash, 2), date, header, signature
       from log_blocks where number = 2`,
      ['edited_block', 'removed_block', 'reordered_block'],
    ],
    [
      'swaps two blocks',
      'update log_blocks set number = case number when 2 then -3 else -2 end where number in (2, 3)',
      ['reordered_block'],
    ],
    [
      'edits the date of a block',
      `update log_blocks set header = replace(header, '"date":"2', '"date":"1') where number = 2`,
      ['bad_signature', 'edited_block'],
    ],
    [
      'puts another signature in the place of one',
      'update log_blocks set signature = (select signature from saved_log_blocks where number = 3) where number = 2',
      ['bad_signature'],
    ],
  ] as const) {
    it(`given someone with the database's password who ${what}, when the log is verified, then it is named`, async () => {
      const statements = statement.includes('-3')
        ? [
            'alter table log_blocks drop constraint log_blocks_number_check',
            statement,
            'update log_blocks set number = -number where number < 0',
          ]
        : [statement];
      const verification = await tampered(a, ...statements);
      expect(verification.verdict).to.equal('invalid');
      expect(codes(verification)).to.include.members([...expected]);
    });
  }

  it('given a message that was changed in the database, when the log is verified, then it is named', async () => {
    const { knex } = b.database;
    const change = (from: number, to: number) =>
      knex.raw(
        `update messages set input_data = replace(input_data::text, '"round":${from}', '"round":${to}')::json
         where is_received`,
      );
    await change(2, 7);
    const verification = await verifyLogs([inMemory('b', await recordsOf(b))], pins('a', 'b'), {
      leewayMilliseconds,
    });
    await change(7, 2);
    expect(codes(verification)).to.deep.equal(['message_differs']);
  });

  it('given a log that was rewritten without the key, when it is verified, then it is invalid, whatever certificate it names', async () => {
    const records = await recordsOf(a);
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const stranger = await identity('a');
    const { fingerprint, certificate } = identities.get('a')!;
    const verify = (signer: Signer) =>
      verifyLogs([inMemory('a', rewritten(records, signer, spoil))], pins('a'), { leewayMilliseconds });
    expect(codes(await verify(signerOf(privateKey, fingerprint, certificate)))).to.deep.equal([
      'bad_signature',
    ]);
    expect(codes(await verify(stranger.signer))).to.deep.equal(['unknown_certificate']);
    const [header, ...rest] = rewritten(records, stranger.signer, spoil);
    const told = {
      ...header,
      certificates: [{ fingerprint: stranger.fingerprint, pem: stranger.certificate }],
    };
    const alone = [inMemory('a', [told as ExportRecord, ...rest])];
    expect(codes(await verifyLogs(alone, pins('a'), { leewayMilliseconds }))).to.deep.equal([
      'unknown_certificate',
    ]);
    expect((await verifyLogs(alone, new Trust([]), { leewayMilliseconds })).verdict).to.equal('unpinned');
  });

  it("given a log of one node signed by another's key, when it is verified, then the key is not believed", async () => {
    const forged = rewritten(await recordsOf(a), identities.get('b')!.signer, spoil);
    const verification = await verifyLogs([inMemory('a', forged)], pins('a', 'b'), { leewayMilliseconds });
    expect(codes(verification)).to.deep.equal(['unknown_certificate']);
  });

  it('given a log that was rewritten with the key, when a peer keeps a head of it, then the fork is named', async () => {
    const forged = rewritten(await recordsOf(a), identities.get('a')!.signer, spoil);
    const alone = await verifyLogs([inMemory('a', forged)], pins('a', 'b'), { leewayMilliseconds });
    expect(alone.verdict).to.equal('valid');
    const sources = [inMemory('a', forged), inMemory('b', await recordsOf(b))];
    expect(codes(await verifyLogs(sources, pins('a', 'b'), { leewayMilliseconds }))).to.deep.equal([
      'forked',
    ]);
  });

  it('given a log whose end was cut off, when a peer keeps a head of it, then it is named', async () => {
    const theirs = inMemory('b', await recordsOf(b));
    const { knex } = a.database;
    await save(knex);
    await knex.raw('delete from log_blocks where number > 2');
    const cut = inMemory('a', await recordsOf(a));
    await restore(knex);
    const verification = await verifyLogs([cut, theirs], pins('a', 'b'), { leewayMilliseconds });
    expect(codes(verification)).to.include('truncated');
  });

  it('given two logs that disagree about messages, when they are verified together, then each case is named', async () => {
    const signer = identities.get('b')!.signer;
    const [ours, theirs] = [await recordsOf(a), await recordsOf(b)];
    const received = theirs.flatMap((each) =>
      each.type === 'entry' && each.line.includes('"received"') ? [each.line] : [],
    )[0]!;
    const against = async (change: (line: string) => string) => {
      const changed = rewritten(theirs, signer, change);
      const sources = [inMemory('a', ours), inMemory('b', changed)];
      return codes(await verifyLogs(sources, pins('a', 'b'), { leewayMilliseconds }));
    };
    const without = received.replace('"kind":"received"', '"kind":"other"');
    expect(await against((line) => (line === received ? without : line))).to.deep.equal([
      'sent_never_received',
    ]);
    const invented = received.replace(/"message":"[^"]+"/, '"message":"invented"');
    expect(await against((line) => (line === received ? invented : line))).to.deep.equal([
      'received_never_sent',
      'sent_never_received',
    ]);
    const other = received.replace(/"digest":"[^"]+"/, `"digest":"${'0'.repeat(64)}"`);
    expect(await against((line) => (line === received ? other : line))).to.deep.equal(['contents_differ']);
  });

  describe('exports', () => {
    let path: string;
    let whole: Buffer;

    before(async () => {
      path = join(folder, 'a.jsonl');
      async function* given() {
        yield* await recordsOf(a);
      }
      await writeExport(path, a.url, given(), identities.get('a')!.signer);
      whole = await readFile(path);
    });

    const verify = (file: string, trust = pins('a', 'b')) =>
      verifyLogs([inFile(file)], trust, { leewayMilliseconds });

    async function changed(bytes: Buffer | string): Promise<Verification | null> {
      const file = join(folder, 'changed.jsonl');
      await writeFile(file, bytes);
      try {
        return await verify(file);
      } catch (thrown) {
        if (thrown instanceof UnusableExport) return null;
        throw thrown;
      }
    }

    it('given an export, then it is valid, of its owner alone, and not overwritten', async () => {
      expect((await verify(path)).verdict).to.equal('valid');
      expect((await stat(path)).mode & 0o777).to.equal(0o600);
      async function* none() {}
      const again = await writeExport(path, a.url, none(), identities.get('a')!.signer).catch(
        (thrown) => thrown,
      );
      expect(again.code).to.equal('EEXIST');
    });

    it('given an export whose certificate is not pinned, then it is consistent in itself, and not valid', async () => {
      expect((await verify(path, new Trust([]))).verdict).to.equal('unpinned');
      const { fingerprint } = identities.get('a')!;
      const byFingerprint = new Trust([{ fingerprint, pem: null, node: null }]);
      expect((await verify(path, byFingerprint)).verdict).to.equal('valid');
    });

    it('given any field of any kind of line changed, then the export is not valid', async () => {
      const lines = whole
        .toString()
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as ExportRecord);
      const seen = new Set<string>();
      for (const [index, line] of lines.entries()) {
        for (const [field, value] of Object.entries(line)) {
          if (seen.has(`${line.type} ${field}`) || field === 'type') continue;
          seen.add(`${line.type} ${field}`);
          const copy = lines.map((each) => ({ ...each })) as Record<string, unknown>[];
          copy[index]![field] =
            typeof value === 'number'
              ? value + 1
              : typeof value === 'string'
                ? other(value)
                : value === null
                  ? 'x'
                  : null;
          const verification = await changed(copy.map((each) => recordLine(each as ExportRecord)).join(''));
          expect(verification?.verdict ?? 'unusable', `${line.type}.${field}`).to.not.equal('valid');
        }
      }
      const kinds = new Set([...seen].map((field) => field.split(' ')[0]));
      expect([...kinds].sort()).to.deep.equal(['block', 'end', 'entry', 'header', 'message']);
    });

    it('given an export without its end, then that is named; given no export, then it is unusable', async () => {
      const text = whole.toString();
      const verification = await changed(text.slice(0, text.lastIndexOf('\n', text.length - 2) + 1));
      expect(codes(verification!)).to.deep.equal(['truncated']);
      for (const none of ['', '{}\n', 'null\n', '[1,\n', `${text}{}\n`, `${text}\n`])
        expect(await changed(none), none.slice(0, 10)).to.equal(null);
    });

    it('given random changes of its bytes, then an export is never valid, and nothing crashes', async () => {
      const at = fc.nat(whole.length - 1);
      const mutation = fc.oneof(
        fc.record({ at, by: fc.integer({ min: 1, max: 255 }) }).map(({ at: place, by }) => {
          const copy = Buffer.from(whole);
          copy[place] = (copy[place]! + by) % 256;
          return copy;
        }),
        fc
          .tuple(at, fc.integer({ min: 1, max: 4096 }))
          .map(([place, length]) =>
            Buffer.concat([whole.subarray(0, place), whole.subarray(place + length)]),
          ),
        fc
          .tuple(at, fc.uint8Array({ minLength: 1, maxLength: 64 }))
          .map(([place, bytes]) => Buffer.concat([whole.subarray(0, place), bytes, whole.subarray(place)])),
        at.map((place) => whole.subarray(0, place)),
      );
      await fc.assert(
        fc.asyncProperty(mutation, async (bytes) => (await changed(bytes))?.verdict !== 'valid'),
        { numRuns: 150 },
      );
    });
  });
});

function other(text: string): string {
  const last = text.at(-1);
  return `${text.slice(0, -1)}${last === '0' ? '1' : '0'}`;
}
