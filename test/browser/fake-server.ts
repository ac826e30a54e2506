/*
 * A console's server without a node: the built page under the real headers, and the contract's answers out of memory. Can
 * tell events, go away and come back, and remembers what it was asked.
 */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import express, { type Request, type Response } from 'express';
import type { ConsoleEvents } from '../../lib/console/contract.ts';
import { confine } from '../../lib/console/guards.ts';
import type { Page, VerificationView } from '../../lib/operator/views.ts';
import * as data from './fake-data.ts';

const ASSETS = fileURLToPath(new URL('../../lib/console/assets/', import.meta.url));

export class FakeServer {
  say: data.Say = (text) => text;
  /** Ballots that the second authority has shuffled. */
  shuffled = 100;
  readonly finished = new Set<string>();
  /** `GET /api/…` and so on, with what was sent. */
  readonly asked: string[] = [];
  readonly lastEventIds: (string | undefined)[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #watchers = new Set<Response>();
  readonly #told: string[] = [];
  #away = false;

  private constructor() {
    const app = express();
    app.use(confine);
    app.use('/api', express.json(), this.#api());
    app.use('/assets', express.static(`${ASSETS}assets`));
    app.get(/.*/, (_request, response) => response.sendFile('index.html', { root: ASSETS }));
    this.#server = createServer(app);
    this.#server.on('connection', (socket) => {
      if (this.#away) return void socket.destroy();
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  static async start(): Promise<FakeServer> {
    const fake = new FakeServer();
    fake.#server.listen(0, '127.0.0.1');
    await once(fake.#server, 'listening');
    return fake;
  }

  get address(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.leave();
    this.#server.close();
    await once(this.#server, 'close');
  }

  /** Every connection breaks, and others are refused. */
  leave(): void {
    this.#away = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  comeBack(): void {
    this.#away = false;
  }

  tell<Type extends keyof ConsoleEvents>(type: Type, what: ConsoleEvents[Type]): void {
    const text = `id: ${this.#told.length + 1}\nevent: ${type}\ndata: ${JSON.stringify(what)}\n\n`;
    this.#told.push(text);
    for (const watcher of this.#watchers) watcher.write(text);
  }

  #watch(request: Request, response: Response): void {
    const last = request.get('Last-Event-ID');
    this.lastEventIds.push(last);
    response.set('Content-Type', 'text/event-stream').flushHeaders();
    const from = last === undefined ? this.#told.length : Number(last);
    const hello: ConsoleEvents['hello'] = { node: 'Auth1', version: '0', resumed: last !== undefined };
    response.write(`id: ${from}\nevent: hello\ndata: ${JSON.stringify(hello)}\n\n`);
    for (const text of this.#told.slice(from)) response.write(text);
    this.#watchers.add(response);
    response.once('close', () => this.#watchers.delete(response));
  }

  #api(): express.Router {
    const router = express.Router();
    const say: data.Say = (text) => this.say(text);
    router.use((request, response, next) => {
      const body = request.body === undefined ? '' : ` ${JSON.stringify(request.body)}`;
      this.asked.push(`${request.method} ${request.originalUrl}${body}`);
      if (request.method === 'GET' || request.get('X-Conclave-CSRF') === 'token') return next();
      response.status(403).json({ code: 'csrf_refused', message: 'the token is missing' });
    });
    router.get('/events', (request, response) => this.#watch(request, response));
    router.get('/session', (_request, response) => {
      const expires = '2026-12-07T22:00:00.000Z';
      response.json({ operator: say('Ana'), csrf_token: 'token', expires, idle_seconds: 1800 });
    });
    router.get('/me', (_request, response) => void response.json(me(say)));
    router.get('/approvals', (_request, response) => void response.json({ items: data.approvals(say) }));
    router.get('/approvals/:id', ({ params }, response) => {
      response.json(data.approvals(say).find(({ id }) => id === params.id));
    });
    router.post('/approvals/:id/decision', (_request, response) => {
      response
        .status(409)
        .json({ code: 'approval_changed', message: say('it has changed'), data: { why: say('changed') } });
    });
    router.get('/elections', (request, response) => {
      const items = (['1', '2'] as const).map((id) => data.election(say, id, this.shuffled));
      response.json(page(items, request));
    });
    router.get('/elections/:id', ({ params }, response) => {
      response.json(data.election(say, params.id === '2' ? '2' : '1', this.shuffled));
    });
    router.post('/elections/:id/tallies/:tally/verification', (_request, response) => {
      const begun: VerificationView = data.verification(say, 'running', 'verification-2');
      response.status(202).json(begun);
    });
    this.#taskRoutes(router, say);
    router.get('/peers', (_request, response) => {
      response.json({ items: data.peers(say), self: data.preview(say) });
    });
    router.get('/peers/:id', ({ params }, response) => {
      response.json(data.peers(say).find(({ id }) => id === params.id));
    });
    router.post('/peers/preview', (_request, response) => void response.json(data.preview(say)));
    router.post('/peers', (_request, response) => void response.json(data.peers(say)[0]));
    router.get('/messages', (request, response) => {
      const items = Array.from({ length: 20 }, (_, index) => data.message(say, index));
      const { state } = request.query;
      response.json(page(state === undefined ? items : items.filter((one) => one.state === state), request));
    });
    router.get('/messages/:sequence', ({ params }, response) => {
      response.json(data.message(say, Number(params.sequence)));
    });
    router.post('/messages/:sequence/resend', ({ params }, response) => {
      const { error: _error, ...message } = data.message(say, Number(params.sequence));
      response.json({ ...message, error: null, state: 'pending', resend: { allowed: false, reason: null } });
    });
    router.get('/audit', (request, response) => void response.json(page(data.audit(say), request)));
    router.use((_request, response) => {
      response.status(404).json({ code: 'not_found', message: say('no such thing') });
    });
    return router;
  }

  #taskRoutes(router: express.Router, say: data.Say): void {
    router.get('/tasks', (request, response) => {
      response.json(page([data.summaryOf(say, data.TREE.root)], request));
    });
    router.get('/tasks/actions', (_request, response) => {
      response.json({ actions: [say('shuffle')], queues: [say('mixnet_queue')] });
    });
    router.get('/tasks/:id', ({ params }, response) => {
      response.json(data.taskOf(say, params.id, this.finished));
    });
    router.get('/tasks/:id/children', (request, response) => {
      const items = data.childrenOf(request.params.id);
      response.json(
        page(
          items.map((id) => data.summaryOf(say, id, this.finished)),
          request,
        ),
      );
    });
    router.get('/tasks/:id/timings', (_request, response) => {
      response.json({ items: data.timings(say), complete: true });
    });
    router.post('/tasks/:id/cancel', ({ params }, response) => {
      this.finished.add(params.id);
      response.json(data.taskOf(say, params.id, this.finished));
    });
  }
}

function page<Item>(items: readonly Item[], { query }: Request): Page<Item> {
  const from = Number(query.after ?? -1) + 1;
  const limit = Number(query.limit ?? 50);
  const shown = items.slice(from, from + limit);
  return { items: shown, next: from + limit < items.length ? String(from + limit - 1) : null };
}

function me(say: data.Say) {
  return {
    node: say('Auth1'),
    version: '0.1.0',
    url: say('https://auth1.example'),
    operator: say('Ana'),
    certificate: { fingerprint: data.hash('Auth1'), not_after: '2028-01-01T00:00:00.000Z' },
    problems: [say('The disk is nearly full')],
    counts: { approvals: 2, peers_down: 1, dead_messages: 24, failed_tasks_today: 1 },
    date: data.NOW.toISOString(),
  };
}
