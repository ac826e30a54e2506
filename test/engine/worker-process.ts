/*
 * A worker in a process of its own, for tests that kill it. Says on standard output what happens, a line each.
 * Arguments: the database's address and the node's URL, as JSON.
 */
import type { Knex } from 'knex';
import { defineTask, Registry } from '../../lib/engine/definitions.ts';
import { Engine } from '../../lib/engine/engine.ts';
import { openDatabase } from '../../lib/store/database.ts';
import { createEngineStore } from '../../lib/store/engine-store.ts';

const { address, url, leaseSeconds } = JSON.parse(process.argv[2]!);
const say = (line: string) => void process.stdout.write(`${line}\n`);
const database = openDatabase({ address });
const engine = new Engine({
  store: createEngineStore(database, url),
  registry: new Registry([
    defineTask({ queue: 'work', action: 'write_and_hang' }, async (task, ctx) => {
      const transaction = await ctx.tx<Knex.Transaction>();
      await transaction.raw('insert into effects (task, worker) values (?, ?)', [task.id, 'killed']);
      say('hanging');
      await new Promise(() => {});
    }),
    defineTask({ queue: 'work', action: 'die' }, () => {
      process.kill(process.pid, 'SIGKILL');
    }),
  ]),
  peers: { idByUrl: () => undefined, dialect: () => 'unknown' },
  node: { name: 'a', url },
  log: { debug() {}, info() {}, warn() {}, error() {} },
  workerName: 'killed',
  leaseSeconds,
});
await engine.start();
say('started');
