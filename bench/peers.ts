/*
 * The same no-op jobs through other queues on PostgreSQL and through this engine, one after the other on this machine:
 *
 *     npm run bench:peers -- [--jobs N] [--json]
 *
 * All of them are enqueued in batches of 1,000 beforehand, then processed with the best settings of each, which are printed.
 * The others have one process and one embedded PostgreSQL, configured as a node's is; the engine is the scenario `local`
 * of `bench:engine`, where it keeps its audit trail, its trees and its leases besides.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Pool } from 'pg';
import { eraseEmbedded, startEmbedded } from '../lib/store/embedded.ts';
import { baselineCommits } from './engine/baseline.ts';
import { runScenario } from './engine/harness.ts';
import { local } from './engine/local.ts';
import { figuresOf, serverProcessorTime } from './engine/measurement.ts';
import { graphileWorker } from './peers/graphile-worker.ts';
import type { OtherQueue } from './peers/other-queue.ts';
import { pgBoss } from './peers/pg-boss.ts';

const CONNECTIONS = 20;

interface PeerFigures {
  readonly queue: string;
  readonly settings: string;
  readonly enqueued_per_second: number;
  readonly jobs_per_second: number;
  readonly cpu_us_per_job: number | null;
  readonly baseline_commits_per_second: number;
}

async function measure(queue: OtherQueue, jobs: number): Promise<PeerFigures> {
  const folder = await mkdtemp(join(tmpdir(), 'conclave-bench-peers-'));
  await chmod(folder, 0o711);
  const server = await startEmbedded({ folder: join(folder, 'database') });
  const pool = new Pool({ ...server.connection, max: CONNECTIONS });
  // graphile-worker asks for these; what goes wrong is told by the statement that it happens to.
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  try {
    const baseline = await baselineCommits(server.connection, 1.5);
    const opened = await queue.open(pool);
    // Once to warm up.
    await opened.enqueue(jobs);
    await opened.process(jobs);
    const enqueued = await timed(() => opened.enqueue(jobs));
    const [own, theirs] = [process.cpuUsage(), await serverProcessorTime(server.pid)];
    const processed = await timed(() => opened.process(jobs));
    const used = process.cpuUsage(own);
    const after = await serverProcessorTime(server.pid);
    await opened.close();
    const cpu = theirs === null || after === null ? null : used.user + used.system + after - theirs;
    return {
      queue: queue.name,
      settings: queue.settings,
      enqueued_per_second: Math.round(jobs / enqueued),
      jobs_per_second: Math.round(jobs / processed),
      cpu_us_per_job: cpu === null ? null : Math.round(cpu / jobs),
      baseline_commits_per_second: Math.round(baseline),
    };
  } finally {
    await pool.end();
    await server.stop();
    await eraseEmbedded({ folder: join(folder, 'database') });
    await rm(folder, { recursive: true, force: true });
  }
}

async function timed(work: () => Promise<void>): Promise<number> {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
}

async function measureOurs(): Promise<PeerFigures> {
  const measured = await runScenario(local, { seconds: 10, database: null, profiles: null });
  const figures = figuresOf(local.name, measured);
  return {
    queue: 'conclave',
    settings: 'max_threads 1000; one process; the rest as it is by default',
    enqueued_per_second: figures.further['enqueued tasks/s'] ?? 0,
    jobs_per_second: figures.tasks_per_second,
    cpu_us_per_job: figures.cpu_us_per_task,
    baseline_commits_per_second: figures.baseline_commits_per_second,
  };
}

const { values } = parseArgs({
  options: { jobs: { type: 'string', default: '10000' }, json: { type: 'boolean', default: false } },
});
const jobs = Number(values.jobs);
if (!(Number.isSafeInteger(jobs) && jobs >= 1000)) throw new Error('--jobs must be an integer from 1000');
const measurements = [() => measureOurs(), () => measure(graphileWorker, jobs), () => measure(pgBoss, jobs)];
for (const each of measurements) {
  const figures = await each();
  const { queue, settings, ...numbers } = figures;
  const line = Object.entries(numbers).map(([name, value]) => `${name.replaceAll('_', ' ')} ${value}`);
  process.stdout.write(
    values.json ? `${JSON.stringify(figures)}\n` : `${queue} (${settings})\n  ${line.join(', ')}\n`,
  );
}
process.exit(0);
