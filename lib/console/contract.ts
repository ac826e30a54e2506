/**
 * The console's HTTP API, the one place on which the server (`lib/console`) and the pages (`lib/console/web`) agree.
 * Imports nothing of Node. What the answers hold is in `lib/operator/views.ts`.
 *
 * **Session.** `conclave console` prints `http://127.0.0.1:PORT/#link=TOKEN`. The page takes the token out of the fragment
 * (which no server, log or prefetch sees), removes it from the address (`history.replaceState`), and exchanges it once:
 * `POST /api/session {link}`. The answer sets an HttpOnly cookie and carries `csrf_token`. `GET /api/session` answers
 * the same to a page that is loaded again; 401 `session_required` means: show how to get a link.
 *
 * **Requests.** JSON, in UTF-8. Everything but GET needs the header `X-Conclave-CSRF: <csrf_token>`; without it, 403
 * `csrf_refused`. Errors are `{code, message, data}` with an HTTP status of 4xx or 5xx (`ApiError`); `message` is for
 * people. 401 `session_required` may come at any time: the session has ended.
 *
 * **Pages.** The built page lies in `lib/console/assets/` and is **committed**, so that a clean checkout, `npm run build`
 * (which copies what is no source) and the published package serve it without a build of their own; a test builds it again
 * and compares the bytes. `index.html` is served at every path that is neither below `/api/` nor below `/assets/` (the page
 * routes itself by path). Below `/assets/`, file names carry the hash of their content and are cached for ever; Vite's `base` is
 * `/`, `build.outDir` is `lib/console/assets`, `build.assetsDir` is `assets`. Content-Security-Policy: `default-src 'none'; script-src 'self'; style-src 'self';
 * img-src 'self' data:; connect-src 'self'; font-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none';
 * require-trusted-types-for 'script'`: no inline script or style (neither `style="…"` attributes; `element.style.x = …` from
 * script is allowed), no eval, no innerHTML.
 *
 * **Events.** `GET /api/events`, see `ConsoleEvents`.
 */
import { z } from 'zod';
import type * as Views from '../operator/views.ts';

export const CSRF_HEADER = 'X-Conclave-CSRF';

/** Of every answer that is not 2xx. */
export interface ApiError {
  readonly code: string;
  readonly message: string;
  readonly data?: unknown;
}

export interface SessionView {
  readonly operator: string;
  readonly csrf_token: string;
  /** The session ends then whatever happens, and after `idle_seconds` in which nothing was asked for. */
  readonly expires: string;
  readonly idle_seconds: number;
}

export interface MeView {
  readonly node: string;
  readonly version: string;
  readonly url: string;
  readonly operator: string;
  readonly certificate: Views.CertificateView;
  /** What this process knows to be wrong, for a banner; empty: nothing. */
  readonly problems: readonly string[];
  readonly counts: {
    readonly approvals: number;
    readonly peers_down: number;
    readonly dead_messages: number;
    readonly failed_tasks_today: number;
  };
  /** The node's clock, for "x minutes ago". */
  readonly date: string;
}

// ─── Inputs ───

const text = (max: number) => z.string().max(max);
const cursor = z.string().max(200).optional();
const limit = z.coerce.number().int().min(1).max(500).optional();
const flag = z.enum(['true', 'false']).optional();
const status = z.enum([
  'created',
  'sent',
  'syncing',
  'reserved',
  'confirmed',
  'executing',
  'finished',
  'error',
]);
const hex = z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 lower-case hex digits');

export const linkInput = z.strictObject({ link: text(200).min(1) });

/** `hash`: the approval's, as the page has shown it; another one is refused with 409 `approval_changed`. */
export const decisionInput = z.discriminatedUnion('decision', [
  z.strictObject({ decision: z.literal('accept'), hash: hex }),
  z.strictObject({ decision: z.literal('deny'), hash: hex, reason: text(4096).trim().min(1) }),
]);

export const tasksQuery = z.strictObject({
  after: cursor,
  limit,
  status: status.optional(),
  /** `true`: those that have not ended. */
  unfinished: flag,
  action: text(200).optional(),
  queue: text(200).optional(),
  /** Of the beginning of an id, of label or action, as they are written. */
  text: text(200).optional(),
  /** `true`: only the roots of trees. */
  roots: flag,
  /** `true`: with the sentence of each task that waits (at most 100 a page). */
  why: flag,
});

export const childrenQuery = z.strictObject({
  after: cursor,
  limit,
  status: status.optional(),
  unfinished: flag,
  action: text(200).optional(),
  text: text(200).optional(),
  why: flag,
});

export const pageQuery = z.strictObject({ after: cursor, limit });
export const reasonInput = z.strictObject({ reason: text(1000).trim().min(1) });
/** Any JSON; refused for approvals, on which one decides. */
export const finishInput = z.strictObject({ data: z.json() });

const roles = z
  .array(z.enum(['authority', 'client', 'operator']))
  .min(1)
  .max(3);
/** The text of a peer file, or a certificate (PEM). */
const peerText = text(40_000).min(1);
export const previewInput = z.strictObject({ file: peerText });
/** `fingerprint`: what the other operator has read out and this one confirmed; it must be the file's. */
export const addPeerInput = z.strictObject({
  file: peerText,
  fingerprint: hex,
  name: text(100).optional(),
  url: text(1000).nullable().optional(),
  roles: roles.optional(),
});
export const rotatePeerInput = z.strictObject({ file: peerText, fingerprint: hex });

export const messagesQuery = z.strictObject({
  after: cursor,
  limit,
  peer: text(200).optional(),
  direction: z.enum(['sent', 'received']).optional(),
  state: z.enum(['processed', 'pending', 'delivered', 'dead', 'withdrawn']).optional(),
  action: text(200).optional(),
  task: text(200).optional(),
  /** Of the beginning of an id of message or task, or of the action. */
  text: text(200).optional(),
});

export const auditQuery = z.strictObject({
  after: cursor,
  limit,
  kind: text(100).optional(),
  peer: text(200).optional(),
  task: text(200).optional(),
  election: text(128).optional(),
  /** A part of the entry as it is written, capital or small. */
  text: text(200).optional(),
  since: z.iso.datetime().optional(),
  until: z.iso.datetime().optional(),
});

// ─── Endpoints ───

/** `:name` are parts of the path, percent-encoded. `query` and `body` are what the schema of that name accepts. */
export interface ConsoleApi {
  'POST /api/session': { body: z.input<typeof linkInput>; answer: SessionView };
  'GET /api/session': { answer: SessionView };
  /** Ends this session. 204. */
  'DELETE /api/session': { answer: null };
  'GET /api/me': { answer: MeView };

  /** Those that wait, oldest first. */
  'GET /api/approvals': { answer: { items: readonly Views.ApprovalSummary[] } };
  /** Also of one that is decided. */
  'GET /api/approvals/:id': { answer: Views.ApprovalView };
  /** 409 `approval_changed`, `already_decided`, `task_ended`. */
  'POST /api/approvals/:id/decision': { body: z.input<typeof decisionInput>; answer: Views.Decided };

  /** Newest first. */
  'GET /api/elections': { query: z.input<typeof pageQuery>; answer: Views.Page<Views.ElectionSummary> };
  'GET /api/elections/:id': { answer: Views.ElectionView };
  /** Begins, or answers with the one that runs. 202. Reports by events of type `verification`. */
  'POST /api/elections/:id/tallies/:tally/verification': { answer: Views.VerificationView };
  'GET /api/elections/:id/tallies/:tally/verification': { answer: Views.VerificationView };
  /** The bytes of a `DownloadView.url`, as an attachment. */
  'GET /api/elections/:id/downloads/:name': { answer: Blob };

  /** Newest first. */
  'GET /api/tasks': { query: z.input<typeof tasksQuery>; answer: Views.Page<Views.TaskSummary> };
  'GET /api/tasks/actions': { answer: { actions: readonly string[]; queues: readonly string[] } };
  'GET /api/tasks/:id': { answer: Views.TaskView };
  /** By order, a page at a time. Filters are of the children themselves. */
  'GET /api/tasks/:id/children': {
    query: z.input<typeof childrenQuery>;
    answer: Views.Page<Views.TaskSummary>;
  };
  /** Of a task and what is below it, parents before children; the first 2,000. */
  'GET /api/tasks/:id/timings': { answer: { items: readonly Views.TimingView[]; complete: boolean } };
  /** The failed or waiting attempt of the task's own work, at once. */
  'POST /api/tasks/:id/retry': { answer: Views.TaskView };
  'POST /api/tasks/:id/cancel': { body: z.input<typeof reasonInput>; answer: Views.TaskView };
  'POST /api/tasks/:id/finish': { body: z.input<typeof finishInput>; answer: Views.TaskView };

  'GET /api/peers': { answer: { items: readonly Views.PeerView[]; self: Views.PeerPreview } };
  /** This node's own peer file, to be given to others; as an attachment. */
  'GET /api/peers/self/file': { answer: Blob };
  'POST /api/peers/preview': { body: z.input<typeof previewInput>; answer: Views.PeerPreview };
  'POST /api/peers': { body: z.input<typeof addPeerInput>; answer: Views.PeerView };
  'GET /api/peers/:id': { answer: Views.PeerView };
  /** Connects to it now, and compares the clocks. */
  'POST /api/peers/:id/check': { answer: Views.PeerCheckView };
  /** Accepts a new certificate beside the old one. */
  'POST /api/peers/:id/rotate': { body: z.input<typeof rotatePeerInput>; answer: Views.PeerView };
  /** Only the newest certificate from now on. */
  'POST /api/peers/:id/rotate/complete': { answer: Views.PeerView };
  /** 204. */
  'DELETE /api/peers/:id': { answer: null };

  /** Newest first. */
  'GET /api/messages': { query: z.input<typeof messagesQuery>; answer: Views.Page<Views.MessageSummary> };
  /** `:sequence` of the summary. */
  'GET /api/messages/:sequence': { answer: Views.MessageView };
  /** A dead letter, once more. */
  'POST /api/messages/:sequence/resend': { answer: Views.MessageView };

  /** Newest first. A page may hold fewer than `limit` although there are more: `next` tells. */
  'GET /api/audit': { query: z.input<typeof auditQuery>; answer: Views.Page<Views.AuditEntryView> };
}

// ─── Events ───

/**
 * Server-sent events of `GET /api/events`: hints that something has changed, at most four times a second and type; whoever shows
 * it asks for it again. `id:` lines are opaque. A browser that reconnects sends `Last-Event-ID`, and gets what it missed; if
 * that is not known any more (another process, too long ago), `reset` comes first: ask for everything again.
 * Comments (`: still here`) come every 15 s: a stream that says nothing for 40 s is dead. When the session ends, the stream
 * ends, and the next attempt gets 401; `EventSource` does not retry then.
 */
export interface ConsoleEvents {
  /** First of every connection. `resumed`: nothing was missed, or it follows. */
  hello: { readonly node: string; readonly version: string; readonly resumed: boolean };
  reset: Readonly<Record<string, never>>;
  /** Tasks that were created or changed; `complete` false: there are more than these 200. */
  tasks: { readonly ids: readonly string[]; readonly roots: readonly string[]; readonly complete: boolean };
  /** How many approvals wait now. */
  approvals: { readonly waiting: number };
  elections: { readonly ids: readonly string[] };
  peers: { readonly ids: readonly string[] };
  messages: { readonly pending: number; readonly dead: number };
  audit: { readonly latest_block: number | null };
  verification: Views.VerificationView;
}
