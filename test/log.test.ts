import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { createLog, type LogLevel } from '../lib/log.ts';

describe('the log', () => {
  function capture(level: LogLevel = 'debug', node?: string) {
    const lines: Record<string, unknown>[] = [];
    const stream = { write: (line: string) => void lines.push(JSON.parse(line)) };
    return { log: createLog({ level, node, stream }), lines };
  }

  it('given a level, when lines are logged, then only those at or above it are written, with time and node', () => {
    const { log, lines } = capture('info', 'Authority One');
    log.debug('unseen');
    log.info({ task: 't1' }, 'seen');
    expect(lines).to.have.lengthOf(1);
    expect(lines[0]).to.include({ level: 'info', node: 'Authority One', task: 't1', msg: 'seen' });
    expect(new Date(String(lines[0]!.time)).toISOString()).to.equal(lines[0]!.time);
  });

  it('given fields that hold secrets, when logged at any depth, in children and in errors, then they are blank', () => {
    const { log, lines } = capture();
    const key = '-----BEGIN PRIVATE KEY-----\nMIGHAgEAhunter2\n-----END PRIVATE KEY-----\n';
    const error = Object.assign(new Error(`cannot use ${key}`), { config: { password: 'hunter2' } });
    const deep = {
      a: [{ databasePassword: 'hunter2', fine: 1 }],
      Authorization: 'Bearer hunter2',
      share: 'hunter2',
    };
    log.info(deep, `connecting to postgres://me:hunter2@db/x with ${key}`);
    log.error({ err: error }, 'failed');
    log.error(error);
    log.error({ err: error });
    log.info('%j', { password: 'hunter2' });
    log.child({ secret: 'hunter2', worker: 'w1' }).info({ private_key: 'hunter2' });
    expect(JSON.stringify(lines)).to.not.include('hunter2');
    expect(lines).to.have.lengthOf(6);
    expect(lines[0]!.a).to.deep.equal([{ databasePassword: '[secret]', fine: 1 }]);
    expect(lines[0]!.msg).to.include('postgres://me:[secret]@db/x');
    expect(lines[1]!.err).to.have.property('stack');
    expect(lines[5]).to.include({ worker: 'w1', private_key: '[secret]' });
  });

  it('given values that JSON does not know or that never end, when logged, then a line is written all the same', () => {
    const { log, lines } = capture();
    const circle: Record<string, unknown> = { big: 10n, bytes: Buffer.from('hunter2'), date: new Date(0) };
    circle.self = circle;
    log.info(circle, 'odd');
    expect(lines[0]).to.include({ big: '10', bytes: '[7 bytes]', date: '1970-01-01T00:00:00.000Z' });
  });

  it('given a file, when lines are logged, then they are appended, and only its owner may read it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'conclave-log-'));
    const file = join(folder, 'node.log');
    await writeFile(file, '{"msg":"before"}\n');
    await chmod(file, 0o644);
    createLog({ file }).info('after');
    const messages = (await readFile(file, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).msg);
    expect(messages).to.deep.equal(['before', 'after']);
    expect((await stat(file)).mode & 0o777).to.equal(0o600);
    await rm(folder, { recursive: true });
  });
});
