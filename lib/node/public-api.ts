/**
 * The HTTP API of election managers and operators (EO-1…EO-9), mounted at `/public_api`:
 *
 *     POST /election, /tally                         client, operator     202 {queue_id, task_id}
 *     GET  /check_state                              any peer             202, empty
 *     GET  /dequeue                                  client, operator     202 {"status": "ok"}
 *     POST /receive_election, /receive_tally         any peer             202, empty; sinks for tests
 *     POST /download_private_share                   operator             200 base64 of a tar.gz
 *     POST /check_, /delete_, /restore_private_share operator             200 "True" or "False"
 *     GET  /tasks/ID/why                             operator             200 what the task waits for (D18):
 *                                                                        {task_id, waiting_for, since, tried, next, sentence}
 *
 * The node's own certificate counts as client and operator (`SELF_ROLES`): who holds its key holds the node. An authority
 * without one of these roles may exchange tasks, and start nothing here. Requests are refused at the door with all that
 * is wrong with them (D31); errors are `{code, message, data}`.
 */
import express, { type Request, type RequestHandler, type Response, type Router } from 'express';
import { z } from 'zod';
import type { Why } from '../engine/why.ts';
import { ConclaveError } from '../errors.ts';
import { JsonRefused, parseJson } from '../json.ts';
import { whyView } from '../operator/shown.ts';
import { readBody } from '../protocol/body.ts';
import type { Log } from '../protocol/log.ts';
import { peerOf, type RequirePeer } from '../protocol/trust.ts';

/** What the workflows offer to managers and operators, bound to this node's services. */
export interface ElectionApi {
  /** @returns id of the root task. @throws ConclaveError that says what is wrong */
  requestElection(body: unknown): Promise<string>;
  requestTally(body: unknown): Promise<string>;
  /** @returns base64 of a tar.gz. @throws ConclaveError `share_missing`, `share_inconsistent` */
  downloadPrivateShare(electionId: string): Promise<string>;
  checkPrivateShare(electionId: string, privateKey: string): Promise<boolean>;
  deletePrivateShare(electionId: string, privateKey: string): Promise<boolean>;
  restorePrivateShare(electionId: string, privateKey: string): Promise<boolean>;
}

export interface PublicApiOptions {
  readonly elections: ElectionApi | null;
  readonly requirePeer: RequirePeer;
  readonly maxBodyBytes: number;
  readonly log: Log;
  /** Has the engine look for work (EO-3). */
  readonly poll: () => Promise<void>;
  /** What a task waits for (D18). @throws ConclaveError `task_not_found`, `database_unavailable` */
  readonly why: (taskId: string) => Promise<Why>;
}

const BODY_MILLISECONDS = 30_000;
const MAX_ID = 128;
const electionIdText = z.union([z.string().min(1).max(128), z.int().positive().transform(String)]);
const shareRequest = z.object({ election_id: electionIdText });
const keyRequest = z.object({ election_id: electionIdText, private_key: z.base64().min(1) });

export function publicApi({
  elections,
  requirePeer,
  maxBodyBytes,
  log,
  poll,
  why,
}: PublicApiOptions): Router {
  const router = express.Router({ caseSensitive: true, strict: true });
  const manager = requirePeer('client', 'operator');
  const operator = requirePeer('operator');
  const body = (request: Request): Promise<unknown> => readJson(request, maxBodyBytes);
  const workflows = (): ElectionApi => {
    if (elections !== null) return elections;
    throw new ConclaveError('not_found', { path: 'the election workflows: this node runs others' });
  };
  const only =
    (allowed: string): RequestHandler =>
    (request, response) => {
      response.setHeader('Allow', allowed);
      throw new ConclaveError('method_not_allowed', { method: request.method, allowed });
    };
  const route = (method: 'get' | 'post', path: string, guard: RequestHandler, handle: Handle): void => {
    router[method](path, guard, refuseForeignPages, async (request: Request, response: Response) => {
      await handle(request, response);
    });
    router.all(path, guard, only(method.toUpperCase()));
  };
  const started = (kind: string, taskId: string, response: Response): void => {
    log.info(
      { event: 'request_accepted', kind, task: taskId, peer: peerOf(response).name },
      `${kind} requested`,
    );
    response.status(202).json({ queue_id: taskId, task_id: taskId });
  };

  route('post', '/election', manager, async (request, response) =>
    started('election', await workflows().requestElection(await body(request)), response),
  );
  route('post', '/tally', manager, async (request, response) =>
    started('tally', await workflows().requestTally(await body(request)), response),
  );
  route('get', '/check_state', requirePeer(), (_request, response) => void response.status(202).end());
  route('get', '/dequeue', manager, async (_request, response) => {
    await poll();
    response.status(202).json({ status: 'ok' });
  });
  route('get', '/tasks/:id/why', operator, async (request, response) => {
    const found = await why(String(request.params.id).slice(0, MAX_ID));
    response.set('Cache-Control', 'no-store').json(whyView(found));
  });
  for (const sink of ['/receive_election', '/receive_tally']) {
    route('post', sink, requirePeer(), async (request, response) => {
      await body(request);
      log.info(
        { event: 'callback_received', sink, peer: peerOf(response).name },
        'a callback came to a test sink',
      );
      response.status(202).end();
    });
  }

  route('post', '/download_private_share', operator, async (request, response) => {
    const { election_id } = parsed(shareRequest, await body(request));
    text(response, 200, await workflows().downloadPrivateShare(election_id));
  });
  for (const action of ['check', 'delete', 'restore'] as const) {
    route('post', `/${action}_private_share`, operator, async (request, response) => {
      const { election_id, private_key } = parsed(keyRequest, await body(request));
      const done = await workflows()[`${action}PrivateShare`](election_id, private_key);
      // Nothing was deleted when the copy at hand is not the key: that must not look like success.
      text(response, action === 'delete' && !done ? 409 : 200, done ? 'True' : 'False');
    });
  }
  return router;
}

type Handle = (request: Request, response: Response) => Promise<void> | void;

/** A page of another web site must not act with the certificate that a browser holds. */
const refuseForeignPages: RequestHandler = (request, _response, next) => {
  const site = request.headers['sec-fetch-site'];
  if (site === undefined || site === 'same-origin' || site === 'none') return next();
  throw new ConclaveError('invalid_request', {
    problems: ['requests from pages of other web sites are refused'],
  });
};

async function readJson(request: Request, maxBytes: number): Promise<unknown> {
  const bytes = await readBody(request, { maxBytes, milliseconds: BODY_MILLISECONDS }, () => {});
  try {
    return parseJson(bytes);
  } catch (reason) {
    if (reason instanceof JsonRefused) throw new ConclaveError('invalid_json', { reason: reason.message });
    throw reason;
  }
}

function parsed<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  // The values are not named: one is a key.
  const problems = result.error.issues.map(({ path, message }) => `${path.join('.') || 'body'}: ${message}`);
  throw new ConclaveError('invalid_request', { problems });
}

/** Private: nothing on the way may keep it. */
function text(response: Response, status: number, body: string): void {
  response.status(status).set('Cache-Control', 'no-store').type('text/plain').send(body);
}
