/**
 * Health for supervisors and load balancers (D54), plain HTTP on an address of its own:
 *
 *     GET /healthz   200 while the process can answer at all: restart it when it does not
 *     GET /readyz    200 when it can work: the database answers and the node is not stopping; else 503 with the reason
 *     GET /metrics   Prometheus
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { reasonOf } from '../errors.ts';
import type { Metrics } from './metrics.ts';

export interface HealthOptions {
  readonly name: string;
  readonly version: string;
  /** Why the node cannot work at the moment; empty when it can. */
  readonly problems: () => Promise<string[]>;
  readonly metrics: Metrics;
}

const READY_MILLISECONDS = 5000;

export function createHealthServer({ name, version, problems, metrics }: HealthOptions): Server {
  const answers: Record<string, () => Promise<readonly [number, string, string]>> = {
    '/healthz': async () => [200, 'application/json', JSON.stringify({ status: 'ok', name, version })],
    '/readyz': async () => {
      const found = await withinTime(problems());
      const body = { status: found.length === 0 ? 'ready' : 'not ready', problems: found };
      return [found.length === 0 ? 200 : 503, 'application/json', JSON.stringify(body)];
    },
    '/metrics': async () => [200, metrics.contentType, await metrics.text()],
  };
  return createServer((request, response) => {
    const path = request.url?.split('?')[0] ?? '';
    const answer = Object.hasOwn(answers, path) ? answers[path] : undefined;
    const end = ([status, type, body]: readonly [number, string, string]): void => {
      response.writeHead(status, { 'Content-Type': type, 'Cache-Control': 'no-store' });
      response.end(request.method === 'HEAD' ? undefined : body);
    };
    if (request.method !== 'GET' && request.method !== 'HEAD') return end([405, 'text/plain', 'only GET\n']);
    if (answer === undefined)
      return end([404, 'text/plain', `there are ${Object.keys(answers).join(', ')}\n`]);
    answer().then(end, (thrown: unknown) => end([503, 'text/plain', `${reasonOf(thrown)}\n`]));
  });
}

/** A database that says nothing is no reason to say nothing. */
async function withinTime(problems: Promise<string[]>): Promise<string[]> {
  const { promise, resolve } = Promise.withResolvers<string[]>();
  const timer = setTimeout(() => resolve(['the database does not answer']), READY_MILLISECONDS);
  try {
    return await Promise.race([problems, promise]);
  } finally {
    clearTimeout(timer);
  }
}

export function listenOn(server: Server, port: number, host: string): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host }, () => {
      server.off('error', reject);
      resolve(server.address() as AddressInfo);
    });
  });
}
