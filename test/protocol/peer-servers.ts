/** Peers for the sender's tests: a Conclave node (our own server) and something that behaves as an original. */
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TestIdentity } from './support.ts';

export interface OriginalRequest {
  method: string;
  path: string;
  headers: Record<string, string | string[] | undefined>;
  body: Record<string, unknown>;
}

export interface OriginalAnswer {
  status: number;
  headers?: Record<string, string>;
  body?: string;
}

export interface OriginalServer {
  port: number;
  url: string;
  /** The messages that came, in order. */
  requests: OriginalRequest[];
  mostAtATime: number;
  close(): Promise<void>;
}

/** Takes messages as an original does: nothing but POST on its queues, an empty 200; `answer` may say otherwise. */
export async function startOriginal(
  identity: TestIdentity,
  answer: (
    request: OriginalRequest,
    count: number,
  ) => OriginalAnswer | undefined | Promise<OriginalAnswer | undefined>,
  port = 0,
): Promise<OriginalServer> {
  const requests: OriginalRequest[] = [];
  const original: OriginalServer = { port, url: '', requests, mostAtATime: 0, close: async () => {} };
  let underWay = 0;
  const tls = {
    cert: identity.certificate,
    key: identity.privateKey,
    requestCert: true,
    rejectUnauthorized: false,
  };
  const server = createServer(tls, async (request, response) => {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    if (request.method !== 'POST' || !String(request.url).startsWith('/api/queues/')) {
      response.writeHead(404, { 'content-type': 'text/html' }).end('<h1>Not Found</h1>');
      return;
    }
    const received: OriginalRequest = {
      method: request.method,
      path: String(request.url),
      headers: request.headers,
      body: JSON.parse(Buffer.concat(pieces).toString()),
    };
    requests.push(received);
    underWay += 1;
    original.mostAtATime = Math.max(original.mostAtATime, underWay);
    const given = (await answer(received, requests.length)) ?? { status: 200 };
    underWay -= 1;
    response.writeHead(given.status, { 'content-type': 'text/html; charset=utf-8', ...given.headers });
    response.end(given.body);
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  original.port = (server.address() as AddressInfo).port;
  original.url = `https://127.0.0.1:${original.port}/api/queues`;
  original.close = () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return original;
}
