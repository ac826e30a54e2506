/**
 * The metrics of a node for Prometheus (D54). Names and labels are a contract with dashboards; what is counted in the
 * database is asked for when a scrape comes, and at most every few seconds.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Knex } from 'knex';
import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Engine } from '../engine/engine.ts';
import type { PeerDirectory } from '../protocol/peers.ts';
import { countTrail } from '../store/audit.ts';
import { countEndedTasks, countMessages, countUnfinishedTasks, countWaitingJobs } from '../store/counts.ts';

const FRESH_MILLISECONDS = 5000;
/** For what reads a whole table. */
const RARELY_MILLISECONDS = 600_000;

export interface MetricsOptions {
  readonly db: Knex;
  readonly engine: Engine;
  readonly peers: PeerDirectory;
  readonly version: string;
  readonly certificateEnds: () => Date;
}

export class Metrics {
  readonly #registry = new Registry();
  readonly #requests: Histogram;

  constructor({ db, engine, peers, version, certificateEnds }: MetricsOptions) {
    const registers = [this.#registry];
    const gauge = (
      name: string,
      help: string,
      labelNames: string[],
      collect: (gauge: Gauge) => unknown,
    ): void => {
      const made = new Gauge({
        name: `conclave_${name}`,
        help,
        labelNames,
        registers,
        async collect() {
          made.reset();
          await collect(made);
        },
      });
    };
    const unfinished = cached(() => countUnfinishedTasks(db));
    const ended = cached(() => countEndedTasks(db), RARELY_MILLISECONDS);
    const jobs = cached(() => countWaitingJobs(db));
    const messages = cached(() => countMessages(db));
    collectDefaultMetrics({ register: this.#registry });
    gauge('info', 'Always 1; the version is a label.', ['version'], (each) => each.set({ version }, 1));
    gauge('tasks', 'Tasks by type and status.', ['type', 'status'], async (each) => {
      for (const { type, status, count } of [...(await unfinished()), ...(await ended())])
        each.set({ type, status }, count);
    });
    gauge('jobs_running', 'Jobs that this process executes now.', [], (each) => each.set(engine.busy));
    gauge('jobs_waiting', 'Jobs that wait for a worker, by queue.', ['queue'], async (each) => {
      for (const { queue, count } of await jobs()) each.set({ queue }, count);
    });
    gauge('job_oldest_wait_seconds', 'Age of the oldest waiting job, by queue.', ['queue'], async (each) => {
      for (const { queue, oldestSeconds } of await jobs()) each.set({ queue }, oldestSeconds);
    });
    const nameOf = (id: string): string => peers.byId(id)?.name ?? id;
    gauge(
      'outbox_messages',
      'Messages to a peer: pending, or dead (given up).',
      ['peer', 'state'],
      async (each) => {
        for (const { peerId, state, count } of await messages())
          each.set({ peer: nameOf(peerId), state }, count);
      },
    );
    gauge('peer_up', '1: the peer answered when it was last asked; 0: it does not.', ['peer'], (each) => {
      for (const peer of peers.list()) {
        if (peer.url !== null) each.set({ peer: peer.name }, peer.downSince === null ? 1 : 0);
      }
    });
    gauge('certificate_end_seconds', 'When a certificate ends, in Unix time.', ['peer'], (each) => {
      each.set({ peer: '' }, certificateEnds().getTime() / 1000);
      for (const { name, certificates } of peers.list()) {
        const ends = certificates.map(({ not_after }) => Date.parse(not_after));
        each.set({ peer: name }, Math.max(...ends) / 1000);
      }
    });
    const trail = cached(() => countTrail(db));
    gauge('log_unsealed_entries', 'Entries of the audit trail that wait to be sealed.', [], async (each) =>
      each.set((await trail()).unsealed),
    );
    gauge(
      'log_last_block',
      'Number of the last block of the audit trail; 0: there is none.',
      [],
      async (each) => each.set((await trail()).lastBlock),
    );
    gauge('log_forks', 'Heads of a peer that contradict one another.', ['peer'], async (each) => {
      for (const { peerId, count } of (await trail()).forks) each.set({ peer: nameOf(peerId) }, count);
    });
    this.#requests = new Histogram({
      name: 'conclave_request_seconds',
      help: 'Duration of requests that were answered, by route and status.',
      labelNames: ['route', 'method', 'status'],
      buckets: [0.005, 0.02, 0.1, 0.5, 2, 10, 60],
      registers,
    });
  }

  /** Measures every request of a server. */
  watch(server: Pick<Server, 'prependListener'>): void {
    server.prependListener('request', (request: IncomingMessage, response: ServerResponse) => {
      const started = performance.now();
      // Before the app sees it: Express takes the mounted part away from the URL.
      const route = routeOf(request.url ?? '');
      response.once('finish', () => {
        const labels = {
          route,
          method: methodOf(request),
          status: response.statusCode,
        };
        this.#requests.observe(labels, (performance.now() - started) / 1000);
      });
    });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }
}

const ROUTES = [
  '/api/queues',
  '/api/conclave/messages',
  '/api/conclave',
  '/api/data',
  '/public_data',
  '/public_api/election',
  '/public_api/tally',
  '/public_api',
] as const;

/** Few values, whatever strangers ask for. */
function routeOf(url: string): string {
  return ROUTES.find((route) => url === route || url.startsWith(`${route}/`)) ?? 'other';
}

function methodOf({ method }: IncomingMessage): string {
  return method !== undefined && ['GET', 'POST', 'HEAD'].includes(method) ? method : 'other';
}

/** One answer for all who ask within a few seconds. */
function cached<T>(ask: () => Promise<T>, milliseconds: number = FRESH_MILLISECONDS): () => Promise<T> {
  let answer: Promise<T> | undefined;
  let until = 0;
  return () => {
    if (answer === undefined || performance.now() > until) {
      until = performance.now() + milliseconds;
      answer = ask();
      answer.catch(() => {
        answer = undefined;
      });
    }
    return answer;
  };
}
