import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { ConclaveError } from '../../lib/errors.ts';
import { groupNames } from '../../lib/mixnet/groups/registry.ts';
import {
  externalDatabase,
  loadSettings,
  parseSettings,
  readSecretFile,
  settingsFile,
} from '../../lib/node/settings.ts';
import { settingsDocument } from '../../lib/node/settings-doc.ts';
import { leaves } from '../../lib/node/settings-environment.ts';
import { SettingsSchema } from '../../lib/node/settings-schema.ts';

const MINIMAL = { name: 'Authority One', root_url: 'https://one.example.org:5000/api/queues' };
const FILE = '/etc/conclave/conclave.json';

describe('settings', () => {
  it('given the two required ones, when read, then the rest are safe defaults and paths are absolute', () => {
    const settings = parseSettings(MINIMAL, FILE, {});
    expect(settings.auto_accept_requests).to.equal(false);
    expect(settings.allow_multiple_tallies).to.equal(false);
    expect(settings.tls.minimum_version).to.equal('TLSv1.3');
    expect(settings.outgoing).to.deep.equal({ allowed: [], allow_loopback: false });
    expect(settings.reservation_timeout).to.equal(60);
    expect(settings.limits.body_bytes).to.equal(16 * 1024 * 1024);
    expect(settings.data_folder).to.equal('/etc/conclave/private');
    expect(settings.database.embedded.folder).to.equal('/etc/conclave/database');
  });

  it('given many mistakes, when read, then each is named at once', () => {
    const problems = refused({
      root_url: 'http://one.example.org/api/queues',
      datbase: {},
      database: { pool_sise: 4, pool_size: 'x', password_file: './p' },
      queues: { a: { maxthreads: 3 } },
      tls: { minimum_version: 'TLSv1.1' },
      limits: { votes_bytes: '3 parsecs' },
      proxy: { terminates_tls: true },
      outgoing: { allowed: ['https://x'] },
      listen: { federation: { port: 7 }, health: { port: 7 } },
    });
    const expected = [
      'name is missing',
      'root_url must begin with https://',
      'datbase is not known: did you mean database?',
      'database.pool_sise is not known: did you mean pool_size?',
      'database.pool_size must be a number',
      'database.password_file has no meaning without database.url',
      'queues.a.maxthreads is not known: did you mean max_threads?',
      'tls.minimum_version must be one of TLSv1.2, TLSv1.3',
      'limits.votes_bytes must look like 16 MiB',
      'proxy.addresses must name the proxy',
      'outgoing.allowed.0 must be a host name',
      'listen has one port twice',
    ];
    for (const beginning of expected) {
      expect(
        problems.filter((problem) => problem.startsWith(beginning)),
        beginning,
      ).to.have.lengthOf(1);
    }
    expect(problems).to.have.lengthOf(expected.length);
  });

  it('given a secret in the file, when read, then it is refused and not repeated', () => {
    const [inUrl, ...others] = refused({ ...MINIMAL, database: { url: 'postgres://me:hunter2@db/x' } });
    expect(inUrl).to.match(/^database\.url must not contain the password.*database\.password_file$/);
    expect(inUrl).to.not.include('hunter2');
    expect(others).to.deep.equal([]);
    const [pasted] = refused({ ...MINIMAL, tls: { key: '-----BEGIN PRIVATE KEY-----\nMIGHAgEA' } });
    expect(pasted).to.equal('tls.key must be the path of a file, not its contents');
  });

  it('given environment variables, when read, then they override the file, each in its type', () => {
    const settings = parseSettings({ ...MINIMAL, lease: 9, log: { level: 'error' } }, FILE, {
      CONCLAVE_LEASE: '7',
      CONCLAVE_LOG_LEVEL: 'debug',
      CONCLAVE_AUTO_ACCEPT_REQUESTS: 'true',
      CONCLAVE_LISTEN_API_PORT: '5999',
      CONCLAVE_PROXY_ADDRESSES: '10.0.0.0/8, ::1',
      CONCLAVE_QUEUES: '{"say_queue": {"max_threads": 4}}',
      CONCLAVE_LIMITS_BODY_BYTES: '1 MiB',
      CONCLAVE_DATABASE_EMBEDDED_BINARIES: 'npm',
      CONCLAVE_SETTINGS: FILE,
      CONCLAVE_PORT: 'tcp://10.0.0.1:80',
      CONCLAVE_SERVICE_HOST: '10.0.0.1',
      UNRELATED: 'x',
    });
    expect(settings.lease).to.equal(7);
    expect(settings.log.level).to.equal('debug');
    expect(settings.auto_accept_requests).to.equal(true);
    expect(settings.listen.api).to.deep.equal({ host: '0.0.0.0', port: 5999 });
    expect(settings.proxy.addresses).to.deep.equal(['10.0.0.0/8', '::1']);
    expect(settings.queues).to.deep.equal({ say_queue: { max_threads: 4 } });
    expect(settings.limits.body_bytes).to.equal(1024 * 1024);
    expect(settings.database.embedded.binaries).to.equal('npm');
  });

  it('given a mistyped variable, when read, then it is refused with the nearest one', () => {
    const environment = { CONCLAVE_LISTEN_FEDERATION_PRT: '5', CONCLAVE_LEASE: 'soon', CONCLAVE_QUEUES: '{' };
    expect(refused(MINIMAL, environment)).to.deep.equal([
      'the environment variable CONCLAVE_LISTEN_FEDERATION_PRT is not known: did you mean CONCLAVE_LISTEN_FEDERATION_PORT?',
      'the environment variable CONCLAVE_QUEUES is not valid JSON',
      'lease must be a number',
    ]);
  });

  it('given every setting, when its variable is derived, then no two share one', () => {
    const variables = leaves().map(({ variable }) => variable);
    expect(new Set(variables).size).to.equal(variables.length);
    expect(variables).to.include.members(['CONCLAVE_NAME', 'CONCLAVE_DATABASE_EMBEDDED_FOLDER']);
  });

  it('given the groups of the mix-net, when the default group is chosen, then it may be any of them', () => {
    const setting = leaves().find(({ variable }) => variable === 'CONCLAVE_DEFAULT_GROUP');
    expect(setting?.schema.enum).to.deep.equal([...groupNames]);
  });

  it('given its document, when compared with the schema, then docs/settings.md is current', async () => {
    const written = await readFile(new URL('../../docs/settings.md', import.meta.url), 'utf8');
    expect(written, 'run: node lib/node/settings-doc.ts > docs/settings.md').to.equal(settingsDocument());
    const example = JSON.parse(/```json\n(.*?)```/s.exec(written)![1]!);
    expect(SettingsSchema.safeParse(example).success).to.equal(true);
  });

  it('given several ways to name the file, when it is looked for, then the option wins, then Conclave, then frestq', () => {
    const both = { CONCLAVE_SETTINGS: '/a.json', FRESTQ_SETTINGS: '/b.json' };
    expect(settingsFile('/o.json', both)).to.equal('/o.json');
    expect(settingsFile(undefined, both)).to.equal('/a.json');
    expect(settingsFile(undefined, { FRESTQ_SETTINGS: '/b.json' })).to.equal('/b.json');
    expect(settingsFile(undefined, {})).to.equal(join(process.cwd(), 'conclave.json'));
  });

  describe('given files', () => {
    let folder: string;
    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'conclave-settings-'));
    });
    after(() => rm(folder, { recursive: true }));

    async function file(name: string, text: string, mode = 0o600): Promise<string> {
      await writeFile(join(folder, name), text);
      await chmod(join(folder, name), mode);
      return join(folder, name);
    }
    async function refusedFile(path: string): Promise<string> {
      const error = await loadSettings(path, {}).then(
        () => expect.fail('it was accepted'),
        (reason) => reason,
      );
      expect(error).to.be.instanceOf(ConclaveError);
      return error.message;
    }

    it('when there is none, then the message says how to make one', async () => {
      expect(await refusedFile(join(folder, 'absent.json'))).to.include('conclave init');
    });

    it("when it is the original's, then the message says where the translation is", async () => {
      expect(await refusedFile(await file('settings.py', 'DEBUG = True\n'))).to.include('docs/settings.md');
    });

    it('when a key stands twice, then it is refused', async () => {
      const text = '{"name": "a", "name": "b", "root_url": "https://one.example.org/api/queues"}';
      expect(await refusedFile(await file('twice.json', text))).to.include('is not JSON');
    });

    it('when the database has a password file, then the address has the password', async () => {
      const password = await file('password', 's3cret\n');
      const database = { url: 'postgres://me@db/x', password_file: password };
      const settings = await loadSettings(await file('s.json', JSON.stringify({ ...MINIMAL, database })), {});
      expect(await externalDatabase(settings)).to.deep.include({
        url: 'postgres://me@db/x',
        password: 's3cret',
      });
      expect(await externalDatabase(parseSettings(MINIMAL, FILE, {}))).to.equal(null);
    });

    it('when every account can read a secret, then it is refused with the cure', async () => {
      const path = await file('open', 'x', 0o644);
      const error = await readSecretFile(path, 'tls.key').then(
        () => expect.fail('accepted'),
        (reason) => reason,
      );
      expect(error.message).to.include(`tls.key: every account can read ${path}: chmod 600`);
    });
  });
});

function refused(raw: unknown, environment: NodeJS.ProcessEnv = {}): string[] {
  try {
    parseSettings(raw, FILE, environment);
  } catch (error) {
    expect(error).to.be.instanceOf(ConclaveError);
    expect((error as ConclaveError).code).to.equal('invalid_settings');
    return (error as ConclaveError).data.problems as string[];
  }
  return expect.fail('it was accepted');
}
