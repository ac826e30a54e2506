/*
 * Requests to the console's own server, typed by the contract. Adds the CSRF header to whatever changes something; turns every
 * answer that is not 2xx into a `RequestFailed`; tells the session when it has ended.
 */
import type * as Contract from '../../contract.ts';

type Api = Contract.ConsoleApi;
export type Endpoint = keyof Api & string;

type PathParts<Path extends string> = Path extends `${string}:${infer Name}/${infer Rest}`
  ? Name | PathParts<Rest>
  : Path extends `${string}:${infer Name}`
    ? Name
    : never;

type Parts<E extends Endpoint> = [PathParts<E>] extends [never]
  ? { readonly path?: undefined }
  : { readonly path: Readonly<Record<PathParts<E>, string>> };
type QueryOf<E extends Endpoint> = Api[E] extends { query: infer Query }
  ? { readonly query?: Query }
  : { readonly query?: undefined };
type BodyOf<E extends Endpoint> = Api[E] extends { body: infer Body }
  ? { readonly body: Body }
  : { readonly body?: undefined };

export type RequestOf<E extends Endpoint> = Parts<E> & QueryOf<E> & BodyOf<E>;
export type AnswerOf<E extends Endpoint> = Api[E]['answer'];

const CSRF_HEADER: typeof Contract.CSRF_HEADER = 'X-Conclave-CSRF';
const TIMEOUT_MILLISECONDS = 60_000;

/** `offline`: there was no answer at all. */
export class RequestFailed extends Error {
  readonly code: string;
  readonly status: number;
  readonly data: unknown;

  constructor(code: string, status: number, message: string, data?: unknown) {
    super(message);
    this.code = code;
    this.status = status;
    this.data = data;
  }
}

interface Listener {
  readonly csrfToken: () => string;
  readonly sessionEnded: () => void;
}

let listener: Listener = { csrfToken: () => '', sessionEnded: () => {} };

export function listenToSession(given: Listener): void {
  listener = given;
}

/** @throws RequestFailed */
export async function request<E extends Endpoint>(
  endpoint: E,
  given: RequestOf<E>,
  signal?: AbortSignal,
): Promise<AnswerOf<E>> {
  const [method = 'GET', template = ''] = endpoint.split(' ');
  const url = template.replace(/:(\w+)/g, (_, name: string) =>
    encodeURIComponent((given.path as Record<string, string>)[name] ?? ''),
  );
  const response = await send(method, url + queryText(given.query as object | undefined), given.body, signal);
  if (response.status === 204) return null as AnswerOf<E>;
  const body: unknown = await response.json().catch(() => undefined);
  if (response.ok) return body as AnswerOf<E>;
  const { code, message, data } = (body ?? {}) as Partial<Contract.ApiError>;
  if (response.status === 401 && code === 'session_required') listener.sessionEnded();
  throw new RequestFailed(code ?? 'unknown', response.status, message ?? `HTTP ${response.status}`, data);
}

async function send(method: string, url: string, body: unknown, signal?: AbortSignal): Promise<Response> {
  const headers: Record<string, string> = {};
  if (method !== 'GET') headers[CSRF_HEADER] = listener.csrfToken();
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  const timeout = AbortSignal.timeout(TIMEOUT_MILLISECONDS);
  try {
    return await fetch(url, {
      method,
      headers,
      credentials: 'same-origin',
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new RequestFailed('offline', 0, String(error));
  }
}

function queryText(query: object | undefined): string {
  const given = Object.entries(query ?? {}).filter(([, value]) => value !== undefined && value !== '');
  return given.length === 0
    ? ''
    : `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`;
}
