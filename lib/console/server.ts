/**
 * The console's server: the page, its sessions and its API (`contract.ts`), on a listener of its own. It knows HTTP and
 * sessions; what an operator may do and see is in `lib/operator`.
 */
import { fileURLToPath } from 'node:url';
import express, { type ErrorRequestHandler, type Express, type Request, type Response } from 'express';
import type { z } from 'zod';
import { ConclaveError, reasonOf } from '../errors.ts';
import { JsonRefused, parseJson } from '../json.ts';
import * as approvals from '../operator/approvals.ts';
import { auditEntries } from '../operator/audit.ts';
import { decide } from '../operator/decisions.ts';
import * as elections from '../operator/elections.ts';
import * as messages from '../operator/messages.ts';
import * as peers from '../operator/peers.ts';
import { problemsOf } from '../operator/problems.ts';
import type { OperatorServices } from '../operator/services.ts';
import * as tasks from '../operator/tasks.ts';
import { Verifications } from '../operator/verifications.ts';
import { readBody } from '../protocol/body.ts';
import type { Log } from '../protocol/log.ts';
import * as contract from './contract.ts';
import { EventFeed } from './events.ts';
import {
  Attempts,
  COOKIE,
  confine,
  cookieOf,
  onlyHosts,
  onlyOwnPages,
  requireSession,
  sessionIn,
} from './guards.ts';
import { endSession, IDLE_SECONDS, openSession, type Session } from './sessions.ts';

export interface ConsoleOptions {
  readonly operator: OperatorServices;
  readonly version: string;
  readonly log: Log;
  /** Values of the Host header that are answered, lower-case, with port. */
  readonly hosts: () => readonly string[];
  /** Whether the listener speaks TLS. */
  readonly secure: boolean;
}

const ASSETS = fileURLToPath(new URL('./assets/', import.meta.url));
const MAX_BODY = 128 * 1024;
const BODY_MILLISECONDS = 15_000;

export function createConsole(options: ConsoleOptions): { app: Express; close(): void } {
  const { operator: services, log } = options;
  const app = express();
  app.disable('x-powered-by');
  app.set('etag', false);
  const feed = new EventFeed(services, options.version, log);
  app.use(confine, onlyHosts(options.hosts), onlyOwnPages);
  const verifications = new Verifications(services, (view) => feed.verification(view));
  app.use('/api', api(options, feed, verifications));
  app.use(
    '/assets',
    express.static(`${ASSETS}assets`, { immutable: true, maxAge: '1y', fallthrough: false }),
  );
  app.get(/.*/, (_request, response, next) => {
    response.sendFile('index.html', { root: ASSETS, cacheControl: false }, (error) => {
      if (error) next(new ConclaveError('not_found', { path: 'the page: this checkout has none built' }));
    });
  });
  app.use(failed(log));
  return {
    app,
    close() {
      feed.close();
      void verifications.close();
    },
  };
}

function api(options: ConsoleOptions, feed: EventFeed, verifications: Verifications): express.Router {
  const { operator: services, secure } = options;
  const { db } = services;
  const router = express.Router({ caseSensitive: true });
  const attempts = new Attempts();
  router.post('/session', async (request, response) => {
    attempts.take();
    const { link } = await bodyOf(request, contract.linkInput);
    const { cookie, session } = await db.transaction(async (transaction) => {
      const opened = await openSession(transaction, link);
      await services.record(transaction, { kind: 'console_session', by: opened.session.operator });
      return opened;
    });
    response.cookie(COOKIE, cookie, { httpOnly: true, sameSite: 'strict', secure, path: '/' });
    response.json(sessionView(session));
  });
  router.use(requireSession(db));
  router.get('/session', (_request, response) => void response.json(sessionView(sessionIn(response))));
  router.delete('/session', async (request, response) => {
    await endSession(db, cookieOf(request)!);
    response.clearCookie(COOKIE, { path: '/' }).status(204).end();
  });
  router.get('/events', (request, response) => feed.serve(request, response));
  router.get('/me', async (_request, response) => void response.json(await me(options, response)));
  approvalRoutes(router, services);
  electionRoutes(router, services, verifications);
  taskRoutes(router, services);
  peerRoutes(router, services);
  messageRoutes(router, services);
  auditRoutes(router, services);
  // The key ceremony's operations go here: routes of their own, over a module of lib/operator.
  router.use((request) => {
    throw new ConclaveError('not_found', { path: request.originalUrl.slice(0, 200) });
  });
  return router;
}

function sessionView({ operator, csrfToken, expires }: Session): contract.SessionView {
  return { operator, csrf_token: csrfToken, expires: expires.toISOString(), idle_seconds: IDLE_SECONDS };
}

async function me(
  { operator: services, version }: ConsoleOptions,
  response: Response,
): Promise<contract.MeView> {
  const { rows } = await services.db.raw<{ rows: { dead: number; failed: number }[] }>(
    `select (select count(*)::integer from messages where state = 'dead') as dead,
       (select count(*)::integer from tasks where created_date > now() - interval '1 day' and status = 'error') as failed`,
  );
  const { fingerprint, not_after } = peers.self(services);
  return {
    node: services.node.name,
    version,
    url: services.node.url,
    operator: sessionIn(response).operator,
    certificate: { fingerprint, not_after },
    problems: await problemsOf(services),
    counts: {
      approvals: (await approvals.pendingApprovals(services)).length,
      peers_down: services.peers.list().filter(({ downSince }) => downSince !== null).length,
      dead_messages: rows[0]!.dead,
      failed_tasks_today: rows[0]!.failed,
    },
    date: new Date().toISOString(),
  };
}

function by(response: Response): string {
  return sessionIn(response).operator;
}

function approvalRoutes(router: express.Router, services: OperatorServices): void {
  router.get('/approvals', async (_request, response) => {
    response.json({ items: await approvals.pendingApprovals(services) });
  });
  router.get('/approvals/:id', async ({ params }, response) => {
    response.json(await approvals.approval(services, params.id, by(response)));
  });
  router.post('/approvals/:id/decision', async (request, response) => {
    const given = await bodyOf(request, contract.decisionInput);
    response.json(await decide(services, { ...given, id: request.params.id, operator: by(response) }));
  });
}

function electionRoutes(
  router: express.Router,
  services: OperatorServices,
  verifications: Verifications,
): void {
  router.get('/elections', async (request, response) => {
    response.json(await elections.elections(services, queryOf(request, contract.pageQuery)));
  });
  router.get('/elections/:id', async ({ params }, response) => {
    response.json(await elections.election(services, params.id, (tally) => verifications.of(tally)));
  });
  const verification = '/elections/:id/tallies/:tally/verification';
  router.get(verification, ({ params }, response) => {
    response.json(verifications.demand(params.id, params.tally));
  });
  router.post(verification, async ({ params }, response) => {
    response.status(202).json(await verifications.start(params.id, params.tally, by(response)));
  });
  router.get('/elections/:id/downloads/:name', async ({ params }, response) => {
    const { size, stream } = await elections.download(services, params.id, params.name);
    response.attachment(params.name).type('application/octet-stream').set('Content-Length', String(size));
    stream.once('error', () => response.destroy());
    stream.pipe(response);
  });
}

function taskRoutes(router: express.Router, services: OperatorServices): void {
  const shown = async (id: string, response: Response): Promise<void> => {
    response.json(await tasks.task(services, id));
  };
  router.get('/tasks', async (request, response) => {
    response.json(await tasks.tasks(services, flags(queryOf(request, contract.tasksQuery))));
  });
  router.get('/tasks/actions', async (_request, response) => {
    response.json(await tasks.taskFilters(services));
  });
  router.get('/tasks/:id', ({ params }, response) => shown(params.id, response));
  router.get('/tasks/:id/children', async (request, response) => {
    const query = flags(queryOf(request, contract.childrenQuery));
    response.json(await tasks.taskChildren(services, request.params.id, query));
  });
  router.get('/tasks/:id/timings', async ({ params }, response) => {
    response.json(await tasks.timings(services, params.id));
  });
  router.post('/tasks/:id/retry', async ({ params }, response) => {
    await shown(await tasks.retryTask(services, params.id, by(response)), response);
  });
  router.post('/tasks/:id/cancel', async (request, response) => {
    const { reason } = await bodyOf(request, contract.reasonInput);
    await tasks.cancelTask(services, request.params.id, { reason, operator: by(response) });
    await shown(request.params.id, response);
  });
  router.post('/tasks/:id/finish', async (request, response) => {
    const { data } = await bodyOf(request, contract.finishInput);
    await tasks.finishTask(services, request.params.id, { data, operator: by(response) });
    await shown(request.params.id, response);
  });
}

function peerRoutes(router: express.Router, services: OperatorServices): void {
  router.get('/peers', async (_request, response) => {
    response.json({ items: await peers.peers(services), self: peers.self(services) });
  });
  router.get('/peers/self/file', (_request, response) => {
    response.attachment(`${services.node.name}.peer.json`).type('application/octet-stream');
    response.send(Buffer.from(services.peerFile()));
  });
  router.post('/peers/preview', async (request, response) => {
    const { file } = await bodyOf(request, contract.previewInput);
    response.json(peers.previewPeer(services, file));
  });
  router.post('/peers', async (request, response) => {
    const given = await bodyOf(request, contract.addPeerInput);
    response.json(await peers.addPeer(services, given, by(response)));
  });
  router.get('/peers/:id', async ({ params }, response) => {
    response.json(await peers.peer(services, params.id));
  });
  router.post('/peers/:id/check', async ({ params }, response) => {
    response.json(await peers.checkPeer(services, params.id));
  });
  router.post('/peers/:id/rotate', async (request, response) => {
    const given = await bodyOf(request, contract.rotatePeerInput);
    response.json(await peers.rotatePeer(services, request.params.id, given, by(response)));
  });
  router.post('/peers/:id/rotate/complete', async ({ params }, response) => {
    response.json(await peers.completeRotation(services, params.id, by(response)));
  });
  router.delete('/peers/:id', async ({ params }, response) => {
    await peers.removePeer(services, params.id, by(response));
    response.status(204).end();
  });
}

function messageRoutes(router: express.Router, services: OperatorServices): void {
  router.get('/messages', async (request, response) => {
    response.json(await messages.messages(services, queryOf(request, contract.messagesQuery)));
  });
  router.get('/messages/:sequence', async ({ params }, response) => {
    response.json(await messages.message(services, params.sequence));
  });
  router.post('/messages/:sequence/resend', async ({ params }, response) => {
    await messages.resendMessage(services, params.sequence, by(response));
    response.json(await messages.message(services, params.sequence));
  });
}

function auditRoutes(router: express.Router, services: OperatorServices): void {
  router.get('/audit', async (request, response) => {
    response.json(await auditEntries(services, queryOf(request, contract.auditQuery)));
  });
}

type Flag = 'true' | 'false' | undefined;

/** Texts of a query as what they mean. */
function flags<Q extends { unfinished?: Flag; why?: Flag; roots?: Flag }>(query: Q) {
  const { unfinished, why, roots, ...rest } = query;
  const meant = (flag: Flag): boolean | undefined => (flag === undefined ? undefined : flag === 'true');
  return { ...rest, unfinished: meant(unfinished), why: meant(why), roots: meant(roots) };
}

function queryOf<Schema extends z.ZodType>(request: Request, schema: Schema): z.output<Schema> {
  return parsed(schema, request.query);
}

async function bodyOf<Schema extends z.ZodType>(request: Request, schema: Schema): Promise<z.output<Schema>> {
  if (!request.is('application/json'))
    throw new ConclaveError('invalid_request', { problems: ['the body must be application/json'] });
  const limits = { maxBytes: MAX_BODY, milliseconds: BODY_MILLISECONDS };
  const bytes = await readBody(request, limits, () => {});
  try {
    return parsed(schema, parseJson(bytes));
  } catch (thrown) {
    if (thrown instanceof JsonRefused) throw new ConclaveError('invalid_json', { reason: thrown.message });
    throw thrown;
  }
}

function parsed<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.map(
    ({ path, message }) => `${path.join('.') || 'request'}: ${message}`,
  );
  throw new ConclaveError('invalid_request', { problems });
}

function failed(log: Log): ErrorRequestHandler {
  return (thrown: unknown, request, response, next) => {
    if (response.headersSent) return next(thrown);
    const status = (thrown as { status?: unknown }).status;
    const known =
      thrown instanceof ConclaveError
        ? thrown
        : new ConclaveError(status === 404 ? 'not_found' : 'internal_error', {
            path: request.path.slice(0, 200),
          });
    if (known.code === 'internal_error')
      log.error({ event: 'console_failed', reason: reasonOf(thrown) }, 'a request to the console failed');
    response.status(known.status).json(known.toFailure());
  };
}
