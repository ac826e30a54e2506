/* One whole election among three nodes that are processes of their own, and a search for every secret made in it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, createPrivateKey } from 'node:crypto';
import { once } from 'node:events';
import { appendFile, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { expect } from 'chai';
import { Client } from 'pg';
import { randomChoices, type SessionKey, voteLines } from '../../lib/cli/ballot-maker.ts';
import { withoutSettings } from '../../lib/cli/demo/authority.ts';
import { electionRequest } from '../../lib/cli/demo/election.ts';
import { DemoManager } from '../../lib/cli/demo/manager.ts';
import { withPeers } from '../../lib/cli/node-access.ts';
import { MixnetWorker } from '../../lib/mixnet/worker/client.ts';
import { loadSettings } from '../../lib/node/settings.ts';
import { readPeerFile, writePeerFile } from '../../lib/protocol/peer-file.ts';
import { niUri } from '../../tasks/election/hash.ts';
import { parseElectionRequest } from '../../tasks/election/request.ts';
import { LAUNCHER, type NodeFolder, NodeFolders } from '../support/node-folders.ts';
import type { Recorded } from './secrets-record.ts';
import { formsOf, SecretSearch } from './secrets-search.ts';

const RECORDER = fileURLToPath(new URL('./secrets-record.ts', import.meta.url));
const BALLOTS = 24;
/** Three processes at once on a busy machine. */
const START_MILLISECONDS = 60_000;

/** Randomness that is no secret: where it is made, and why not. */
const PUBLIC = new Map([
  ['lib/node/bulk-data.ts', 'names of files; who may read one is decided by certificate'],
  ['lib/mixnet/keys/dealing.ts', 'the salt of a commitment, opened with it'],
]);

/** Contexts of sealed secrets, with the members that are secret; a dealing is opened, but for what is recorded apart. */
const SEALED: [context: RegExp, members: readonly string[]][] = [
  [/party key of election/, ['signing', 'encryption']],
  [/key share of session/, ['share']],
  [/decryption randomness/, ['secret']],
  [/dealing of session/, []],
];

interface Started {
  readonly folder: NodeFolder;
  readonly child: ChildProcess;
  said: string;
}

describe('the secrets of a whole election (D36)', function () {
  this.timeout(240_000);
  const nodes = new NodeFolders();
  const started: Started[] = [];
  const mixnet = new MixnetWorker({ threads: 1 });
  let manager: DemoManager;
  let recorded: string;
  let secrets: { name: string; octets?: Buffer; text?: string }[];

  const start = async (folder: NodeFolder): Promise<void> => {
    const args = ['--import', RECORDER, LAUNCHER, 'start', '--with-parent', '--settings', folder.settings];
    const env = { ...withoutSettings(process.env), SECRETS_ARE_RECORDED_IN: recorded };
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'], env });
    const node: Started = { folder, child, said: '' };
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (piece: string) => (node.said += piece));
    started.push(node);
    const deadline = Date.now() + START_MILLISECONDS;
    while (!node.said.includes('is ready')) {
      expect(child.exitCode, node.said).to.equal(null);
      expect(Date.now(), `${folder.name} did not start: ${node.said}`).to.be.lessThan(deadline);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };

  const introduce = async (folders: readonly NodeFolder[]): Promise<void> => {
    const files = new Map(
      folders.map(({ name, url, certificate, privateKey }) => [
        name,
        writePeerFile({ name, url, roles: ['authority'], certificate }, privateKey),
      ]),
    );
    files.set(manager.name, manager.peerFile);
    const quiet = {
      out: () => {},
      note: () => {},
      paint: (_style: unknown, text: string) => text,
      interactive: false,
    };
    for (const folder of folders) {
      manager.know(folder.certificate);
      await withPeers({ settings: folder.settings }, { ...quiet, environment: {} }, async (peers) => {
        for (const [name, file] of files) {
          if (name === folder.name) continue;
          const { certificate, ...peer } = readPeerFile(Buffer.from(file));
          await peers.add({ ...peer, certificates: [certificate], dialect: 'unknown' });
        }
      });
    }
  };

  const hold = async (folders: readonly NodeFolder[]): Promise<void> => {
    const [director] = folders;
    const signal = AbortSignal.timeout(150_000);
    const request = electionRequest(1, 1, 2, manager.callbackUrl, folders);
    await manager.post(director!, '/public_api/election', request);
    const created = await manager.callback('POST /election', signal, () => {});
    expect(created.status, JSON.stringify(created.data)).to.equal('finished');
    const parsed = parseElectionRequest(request);
    const choices = randomChoices(parsed.questions, BALLOTS);
    const lines: string[] = [];
    for await (const line of voteLines(parsed, created.session_data as SessionKey[], choices, mixnet))
      lines.push(`${line}\n`);
    const votes = await nodes.write('votes', lines.join(''));
    await manager.post(director!, '/public_api/tally', {
      election_id: 1,
      callback_url: manager.callbackUrl,
      votes_url: await manager.offer(votes),
      votes_hash: niUri(createHash('sha256').update(lines.join('')).digest()),
    });
    const tallied = await manager.callback('POST /tally', signal, () => {});
    expect(tallied.status, JSON.stringify(tallied.data)).to.equal('finished');
  };

  before(async () => {
    recorded = await mkdtemp(join(tmpdir(), 'conclave-secrets-'));
    manager = await DemoManager.start();
    const settings = {
      auto_accept_requests: true,
      log: { level: 'debug', file: './node.log' },
      tally_wait: 3,
    };
    const folders: NodeFolder[] = [];
    for (const name of ['auth1', 'auth2', 'auth3']) folders.push(await nodes.make(name, settings));
    await Promise.all(folders.map(start));
    await introduce(folders);
    await hold(folders);
    secrets = [...(await secretsIn(recorded)), ...(await secretsOf(folders))];
  });
  after(async () => {
    for (const { child } of started) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    await manager.close();
    await mixnet.close();
    await nodes.close();
    await rm(recorded, { recursive: true, force: true });
  });

  const searchNodes = async (
    of: readonly Started[],
    wanted: (name: string) => boolean = () => true,
  ): Promise<SecretSearch> => {
    const search = new SecretSearch();
    for (const { name, octets, text } of secrets.filter((secret) => wanted(secret.name))) {
      if (octets !== undefined) search.addOctets(name, octets);
      if (text !== undefined) search.addText(name, text);
    }
    for (const { folder, child, said } of of) {
      search.lookInText(`what ${folder.name} printed`, said);
      await search.lookInFolder(folder.name, folder.folder);
      await lookInDatabase(search, folder);
      for (const pid of await processes(child.pid!))
        for (const what of ['cmdline', 'environ'])
          search.look(`${what} of ${folder.name}`, await readFile(`/proc/${pid}/${what}`));
    }
    return search;
  };

  it('given what was made, when it is counted, then every kind of secret is among it', () => {
    const kinds = secrets.map(({ name }) => name.split(':')[0]!);
    expect([...new Set(kinds)]).to.include.members([
      'share',
      'signing',
      'encryption',
      'secret',
      'permutation',
      'scalar',
      'key of the certificate',
      'key of secrets at rest',
    ]);
    const origins = new Set(secrets.map(({ name }) => name.split(': ')[1]));
    expect([...origins].filter((origin) => origin === 'unknown')).to.deep.equal([]);
    const fromDealing = secrets.filter(({ name }) => name === 'scalar: lib/mixnet/keys/dealing.ts');
    // Each of three dealers: a polynomial of degree one, and the nonce of a proof.
    expect(fromDealing).to.have.lengthOf(9);
    expect(kinds.filter((kind) => kind === 'permutation')).to.have.length.of.at.least(2);
  });

  it('given logs, databases, folders, archives and processes of all nodes, when every secret is looked for in every form, then it is in its key file and nowhere else', async () => {
    const search = await searchNodes(started);

    expect(search.searched).to.be.greaterThan(500_000);
    const found = search.found.map(({ secret, where }) => `${secret.split(':')[0]} in ${where}`);
    const documented = started.flatMap(({ folder: { name } }) => [
      `key of secrets at rest in ${name}/key-encryption.key`,
      `key of the certificate in ${name}/key.pem`,
    ]);
    expect([...new Set(found)].sort()).to.deep.equal(documented.sort());
    for (const { folder } of started)
      for (const file of ['key-encryption.key', 'key.pem'])
        expect((await stat(join(folder.folder, file))).mode & 0o777, file).to.equal(0o600);
    for (const { folder } of started) {
      expect((await loadSettings(folder.settings, {})).log.level).to.equal('debug');
      expect(await readFile(join(folder.folder, 'node.log'), 'utf8')).to.contain('"level":"info"');
    }
  });

  it('given a node that runs, when it crashes, then the system writes none of its memory down', async () => {
    for (const { child } of started)
      for (const pid of await processes(child.pid!))
        expect((await readFile(`/proc/${pid}/coredump_filter`, 'utf8')).trim()).to.match(/^0+$/);
  });

  it('given a secret that was put into each of these places, when it is looked for, then each is found', async () => {
    const [one] = started;
    const share = secrets.find(({ name }) => name.startsWith('share:'))!.octets!;
    const hex = share.toString('hex');
    const { folder } = one!.folder;
    await appendFile(join(folder, 'node.log'), `{"a":"${share.toString('base64')}"}\n`);
    await writeFile(join(folder, 'private', 'planted'), Buffer.concat([Buffer.alloc(3, 1), share]));
    await writeFile(join(folder, 'public', 'planted.tar.gz'), gzipSync(BigInt(`0x${hex}`).toString()));
    one!.said += `share ${hex.toUpperCase()}`;
    const script = ['-e', 'process.stdin.resume()', hex];
    const child = spawn(process.execPath, script, {
      stdio: 'pipe',
      env: { SHARE: share.toString('base64url') },
    });
    const database = await connected(one!.folder);
    try {
      await database.query('create table planted (a jsonb, b bytea, c text[])');
      await database.query('insert into planted values ($1, $2, $3)', [
        JSON.stringify({ share: [...share] }),
        Buffer.concat([Buffer.alloc(1), share]),
        [`x${Buffer.from(`x${hex}`).toString()}`],
      ]);
      const search = await searchNodes([one!], (name) => name.startsWith('share:'));
      for (const what of ['cmdline', 'environ'])
        search.look(`planted ${what}`, await readFile(`/proc/${child.pid}/${what}`));
      const where = search.found.map((found) => found.where);
      expect([...new Set(where)]).to.have.members([
        'auth1/node.log',
        'auth1/private/planted',
        'auth1/public/planted.tar.gz, unpacked',
        'what auth1 printed',
        'table planted, a, of auth1',
        'table planted, b, of auth1',
        'table planted, c, of auth1',
        'planted cmdline',
        'planted environ',
      ]);
    } finally {
      await database.end();
      child.kill('SIGKILL');
    }
  });

  it('given every form in which octets are written, when the text goes on before and after them, then it is found', () => {
    const octets = createHash('sha256').update('a secret').digest();
    for (const [form, bytes] of formsOf(octets)) {
      const search = new SecretSearch();
      search.addOctets('planted', octets);
      search.look('here', Buffer.concat([Buffer.from('0123'), bytes, Buffer.from('4567')]));
      expect(search.found, form).not.to.deep.equal([]);
    }
  });
});

/** What the nodes' processes wrote down, by kind and origin. */
async function secretsIn(folder: string): Promise<{ name: string; octets: Buffer }[]> {
  const found: { name: string; octets: Buffer }[] = [];
  for (const file of await readdir(folder)) {
    for (const line of (await readFile(join(folder, file), 'utf8')).split('\n')) {
      if (line === '') continue;
      const { what, origin, hex } = JSON.parse(line) as Recorded;
      const octets = Buffer.from(hex, 'hex');
      if (what === 'octets' && PUBLIC.has(origin)) continue;
      if (what !== 'sealed') found.push({ name: `${what}: ${origin}`, octets });
      else found.push(...sealedSecrets(origin, octets));
    }
  }
  return found;
}

function sealedSecrets(context: string, octets: Buffer): { name: string; octets: Buffer }[] {
  const known = SEALED.find(([pattern]) => pattern.test(context));
  // A share on its way to another authority.
  if (known === undefined) return [{ name: 'share: on its way', octets }];
  const value = JSON.parse(octets.toString()) as Record<string, unknown>;
  return known[1].flatMap((member) => {
    const hex = value[member];
    // Zeros stand where a key was forgotten.
    if (typeof hex !== 'string' || /^0*$/.test(hex)) return [];
    return [{ name: `${member}: ${context}`, octets: Buffer.from(hex, 'hex') }];
  });
}

/** The keys of a node: octets of the files, and the numbers that make up the certificate's key. */
async function secretsOf(
  folders: readonly NodeFolder[],
): Promise<{ name: string; octets?: Buffer; text?: string }[]> {
  const found: { name: string; octets?: Buffer; text?: string }[] = [];
  for (const { settings, privateKey } of folders) {
    const { key_encryption } = await loadSettings(settings, {});
    const octets = await readFile(key_encryption.key_file);
    found.push({ name: 'key of secrets at rest', octets });
    for (const line of privateKey.split('\n').slice(1, -2))
      found.push({ name: 'key of the certificate', text: line });
    const jwk = createPrivateKey(privateKey).export({ format: 'jwk' });
    for (const member of ['d', 'p', 'q', 'dp', 'dq', 'qi'] as const) {
      const number = jwk[member];
      if (number !== undefined)
        found.push({ name: 'key of the certificate', octets: Buffer.from(number, 'base64url') });
    }
  }
  return found;
}

async function connected({ settings }: NodeFolder): Promise<Client> {
  const { database } = await loadSettings(settings, {});
  const client = new Client({ connectionString: database.url! });
  await client.connect();
  return client;
}

/** Every value of every table, as it is, and as PostgreSQL writes it. */
async function lookInDatabase(search: SecretSearch, folder: NodeFolder): Promise<void> {
  const client = await connected(folder);
  try {
    const { rows: tables } = await client.query(
      `select quote_ident(table_schema) || '.' || quote_ident(table_name) as name, table_name from information_schema.tables
       where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')`,
    );
    expect(tables.map((table) => table.table_name)).to.include.members(['tasks', 'messages', 'elections']);
    for (const { name, table_name } of tables) {
      const { rows } = await client.query(`select * from ${name}`);
      for (const row of rows) {
        for (const [column, value] of Object.entries(row)) {
          const where = `table ${table_name}, ${column}, of ${folder.name}`;
          if (Buffer.isBuffer(value)) search.look(where, value);
          else if (value !== null)
            search.lookInText(where, typeof value === 'string' ? value : JSON.stringify(value));
        }
      }
    }
  } finally {
    await client.end();
  }
}

/** A process and those that it has started. */
async function processes(pid: number): Promise<number[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  const deeper = await Promise.all(children.trim().split(/\s+/).filter(Boolean).map(Number).map(processes));
  return [pid, ...deeper.flat()];
}
