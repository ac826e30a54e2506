/**
 * The one list of error codes (D4): what went wrong, the HTTP status it has at a border, and its text.
 *
 * Every error that crosses a border (HTTP answer, failed task, callback, command line) is a `ConclaveError`
 * or is turned into one. `{placeholders}` in a text are filled from the error's data. Secrets never go into data.
 */
export const ERROR_CODES = {
  // Requests and messages
  invalid_json: { status: 400, text: 'invalid json' },
  invalid_field: { status: 400, text: 'invalid/notfound {field} parameter' },
  invalid_request: { status: 400, text: 'the request is not valid: {problems}' },
  invalid_input: { status: 400, text: 'the input of {action} is not valid: {problems}' },
  body_too_large: { status: 413, text: 'the body is larger than the {limit} bytes that this node accepts' },
  body_timeout: { status: 408, text: 'the body did not arrive in time' },
  not_found: { status: 404, text: 'there is nothing at {path}' },
  method_not_allowed: { status: 405, text: '{method} is not allowed here; use {allowed}' },
  unknown_action: { status: 404, text: 'Action handler {action} not found in the queue {queue}' },
  unknown_queue: { status: 404, text: 'Action handler {action} not found in the queue {queue}' },
  queue_full: { status: 503, text: 'the queue {queue} is full; send the message again later' },
  shutting_down: { status: 503, text: 'this node is shutting down; send the message again later' },
  database_unavailable: {
    status: 503,
    text: 'this node cannot reach its database at the moment; try again later',
  },
  // Trust
  certificate_required: { status: 401, text: 'a client certificate is required on this port' },
  unknown_certificate: {
    status: 403,
    text: 'the certificate with fingerprint {fingerprint} is not one of a peer of this node; its operator can add it with: conclave peers add FILE',
  },
  wrong_role: { status: 403, text: 'the peer {peer} has no role that allows this (needs {role})' },
  wrong_peer: { status: 403, text: 'the task {taskId} belongs to another peer' },
  task_exists: { status: 409, text: 'a task {taskId} exists already on this node' },
  local_only: { status: 403, text: 'the action {action} may only be started by this node itself' },
  unknown_peer: { status: 400, text: 'no peer has the URL {url}; add it with: conclave peers add FILE' },
  peer_certificate_mismatch: {
    status: 502,
    text: 'the server at {url} did not present the certificate pinned for the peer {peer}',
  },
  proxy_not_allowed: { status: 403, text: 'certificates forwarded by {address} are not accepted here' },
  // Tasks
  task_not_found: { status: 404, text: 'task {taskId} not found' },
  ambiguous_id: { status: 409, text: '{id} is the beginning of several ids: {candidates}' },
  not_external: { status: 409, text: 'task {taskId} is not external' },
  task_ended: { status: 409, text: 'task {taskId} has already ended ({status})' },
  task_not_waiting: { status: 409, text: 'task {taskId} is {status} and cannot be finished yet' },
  task_failed: { status: 500, text: '{reason}' },
  handler_error: { status: 500, text: 'the handler of {action} failed: {reason}' },
  subtasks_failed: { status: 500, text: '{failed} of {children} subtasks failed: {reason}' },
  worker_lost: { status: 500, text: 'the workers that executed this task died {times} times' },
  cancelled: { status: 409, text: 'cancelled: {reason}' },
  not_started: { status: 409, text: 'not started, because {reason}' },
  expired: { status: 408, text: 'the task expired at {date}' },
  undeliverable: { status: 504, text: 'the peer {peer} could not be reached until {deadline}: {reason}' },
  peer_refused: { status: 502, text: 'the peer {peer} refused the message: {reason}' },
  peer_error: { status: 502, text: 'the peer {peer} reported an error: {reason}' },
  fenced: { status: 409, text: 'another worker has taken the task {taskId} over' },
  invalid_tree: { status: 400, text: 'the task tree is not valid: {reason}' },
  async_data_failed: { status: 502, text: 'the bulk data {name} could not be fetched: {reason}' },
  // Elections
  election_exists: { status: 409, text: 'an election with id {electionId} already exists' },
  election_not_found: { status: 404, text: 'there is no election with id {electionId} here' },
  not_an_authority: { status: 403, text: '{who} is not one of the authorities of the election {electionId}' },
  task_not_accepted: { status: 403, text: 'task not accepted: {authority} denied the request: {reason}' },
  already_tallied: {
    status: 409,
    text: 'the election {electionId} has been tallied already; see --reset-tally',
  },
  tally_running: { status: 409, text: 'a tally of the election {electionId} is under way' },
  election_not_ready: { status: 409, text: 'the election {electionId} has no joint key yet' },
  votes_unavailable: { status: 502, text: 'the votes could not be fetched from {url}: {reason}' },
  votes_hash_mismatch: { status: 409, text: 'the votes at {url} have the hash {actual}, not {expected}' },
  disagreement: { status: 409, text: 'the authorities do not agree on {subject}: {detail}' },
  proof_invalid: { status: 409, text: '{authority} gave an invalid proof ({step}): {reason}' },
  commitment_lost: { status: 409, text: 'the commitment of {authority} no longer counts: {reason}' },
  mixnet_unavailable: {
    status: 409,
    text: 'the election is made with the programs of Verificatum, which {node} is not set to call (setting mixnet)',
  },
  external_program: { status: 500, text: '{authority}: {program} failed: {reason}' },
  share_missing: { status: 400, text: 'missing file: {detail}' },
  share_inconsistent: { status: 500, text: 'hash consistency error: {detail}' },
  // Operators
  approval_changed: {
    status: 409,
    text: 'the approval {taskId} has the hash {actual}, and not the one that was confirmed: look at it again',
  },
  already_decided: { status: 409, text: '{operator} has accepted {taskId} already; {awaited}' },
  not_approval: { status: 409, text: 'task {taskId} is no approval' },
  is_approval: {
    status: 409,
    text: 'task {taskId} is an approval: decide on it with conclave approve or conclave deny, or in the console',
  },
  not_allowed: { status: 409, text: 'that is not possible: {reason}' },
  peer_not_found: { status: 404, text: 'there is no peer {peer}' },
  message_not_found: { status: 404, text: 'there is no message {message}' },
  session_required: {
    status: 401,
    text: 'there is no session, or it has ended; print a link with: conclave console',
  },
  link_refused: {
    status: 401,
    text: 'this link was used, has expired, or never was one; print another with: conclave console',
  },
  too_many_attempts: { status: 429, text: 'too many attempts; try again in {seconds} s' },
  csrf_refused: { status: 403, text: 'the request did not come from the page of this console: {reason}' },
  host_refused: {
    status: 421,
    text: 'this console does not answer under the name {host}; see console.hosts in the settings',
  },
  // Settings, command line, host
  invalid_settings: { status: 500, text: 'the settings are not valid: {problems}' },
  usage: { status: 400, text: '{reason}' },
  database_start_failed: { status: 500, text: 'the embedded database did not start: {reason}' },
  migration_failed: { status: 500, text: 'the database could not be migrated: {reason}' },
  outgoing_refused: { status: 400, text: 'requests to {url} are not allowed: {reason}' },
  outgoing_failed: { status: 502, text: 'the request to {url} failed: {reason}' },
  internal_error: { status: 500, text: 'internal error; the log of this node has the details' },
} as const satisfies Record<string, { status: number; text: string }>;

export type ErrorCode = keyof typeof ERROR_CODES;

/** What crosses node boundaries about an error: `node` is the name of the node where it happened (D4). */
export interface Failure {
  code: string;
  message: string;
  data?: unknown;
  node?: string;
}

export type ErrorData = Readonly<Record<string, unknown>>;

/** An error with a code from `ERROR_CODES`; its message is the code's text, filled from `data`. */
export class ConclaveError extends Error {
  readonly code: ErrorCode;
  readonly data: ErrorData;

  constructor(code: ErrorCode, data: ErrorData = {}, options?: ErrorOptions) {
    super(fill(ERROR_CODES[code].text, data), options);
    this.name = 'ConclaveError';
    this.code = code;
    this.data = data;
  }

  /** The HTTP status of this error at a border. */
  get status(): number {
    return ERROR_CODES[this.code].status;
  }

  /** The form in which the error crosses a border. */
  toFailure(node?: string): Failure {
    const failure: Failure = { code: this.code, message: this.message };
    if (Object.keys(this.data).length > 0) failure.data = this.data;
    if (node !== undefined) failure.node = node;
    return failure;
  }
}

function fill(text: string, data: ErrorData): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = data[name];
    if (value === undefined) return whole;
    return Array.isArray(value) ? value.join('; ') : String(value);
  });
}

/** The message of anything that was thrown. */
export function reasonOf(thrown: unknown): string {
  if (thrown instanceof AggregateError && thrown.message === '')
    return thrown.errors.map(reasonOf).join('; ');
  return thrown instanceof Error ? thrown.message : String(thrown);
}
