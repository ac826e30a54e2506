/**
 * What the authority publishes (EO-10): `GET <prefix>/<election>/…`, files and listings of the public folder, to anybody
 * who asks. Nothing outside that folder, no hidden file, and nothing that a link leads to elsewhere.
 */
import { lstat, readdir, realpath } from 'node:fs/promises';
import { join, sep } from 'node:path';
import type { Request, RequestHandler, Response } from 'express';
import { ConclaveError } from '../errors.ts';

interface Listed {
  readonly name: string;
  readonly type: 'file' | 'folder';
  /** In bytes; of files. */
  readonly size?: number;
}

const CONTENT_TYPES: readonly (readonly [RegExp, string])[] = [
  [/\.tar\.gz$/, 'application/gzip'],
  [/\.sha256$|\.txt$|\.log$/, 'text/plain; charset=utf-8'],
  [/_json$|\.json$/, 'application/json'],
  [/\.xml$/, 'application/xml'],
];

export function publicFiles(folder: string): RequestHandler {
  return async (request, response) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD');
      throw new ConclaveError('method_not_allowed', { method: request.method, allowed: 'GET, HEAD' });
    }
    const parts = partsOf(request);
    const path = await pathBelow(folder, parts, request);
    response.setHeader('X-Content-Type-Options', 'nosniff');
    const entry = await lstat(path);
    if (entry.isDirectory()) return list(path, parts, request, response);
    response.setHeader('ETag', `W/"${entry.size}-${entry.mtimeMs}"`);
    await send(path, response);
  };
}

/** The names on the way down; refuses what is none. */
function partsOf(request: Request): string[] {
  let decoded: string;
  try {
    decoded = decodeURIComponent(request.path);
  } catch {
    throw notFound(request);
  }
  const parts = decoded.split('/').filter((part) => part !== '');
  if (parts.some((part) => part.startsWith('.') || /[\0\\]/.test(part))) throw notFound(request);
  return parts;
}

async function pathBelow(folder: string, parts: readonly string[], request: Request): Promise<string> {
  try {
    const root = await realpath(folder);
    const path = await realpath(join(root, ...parts));
    if (path === root || path.startsWith(`${root}${sep}`)) return path;
  } catch {
    // It does not exist: as if it lay elsewhere.
  }
  throw notFound(request);
}

async function send(path: string, response: Response): Promise<void> {
  const type = CONTENT_TYPES.find(([pattern]) => pattern.test(path))?.[1] ?? 'application/octet-stream';
  response.setHeader('Content-Type', type);
  await new Promise<void>((resolve, reject) => {
    response.sendFile(path, { dotfiles: 'allow', cacheControl: false }, (error) => {
      // Once it has begun, the only error is that the reader left.
      if (error && !response.headersSent) reject(error);
      else resolve();
    });
  });
}

async function list(
  path: string,
  parts: readonly string[],
  request: Request,
  response: Response,
): Promise<void> {
  const entries: Listed[] = [];
  for (const { name } of await readdir(path, { withFileTypes: true })) {
    if (name.startsWith('.') || name.endsWith('.part')) continue;
    const entry = await lstat(join(path, name));
    if (entry.isDirectory()) entries.push({ name, type: 'folder' });
    else if (entry.isFile()) entries.push({ name, type: 'file', size: entry.size });
  }
  entries.sort((one, other) => (one.name < other.name ? -1 : 1));
  const here = `/${parts.join('/')}`;
  if (request.accepts(['html', 'json']) === 'json') {
    response.json({ path: here, entries });
    return;
  }
  response
    .type('html')
    .send(page(here, entries, `${request.originalUrl.split('?')[0]!.replace(/\/+$/, '')}/`));
}

function page(here: string, entries: readonly Listed[], base: string): string {
  const lines = entries.map(({ name, type, size }) => {
    const slash = type === 'folder' ? '/' : '';
    const shown = type === 'folder' ? '' : ` <small>${size} bytes</small>`;
    return `<li><a href="${escaped(base + encodeURIComponent(name) + slash)}">${escaped(name)}${slash}</a>${shown}</li>`;
  });
  const title = `Public data: ${escaped(here)}`;
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>${title}</title><h1>${title}</h1><ul>
${lines.join('\n')}
</ul></html>
`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

function notFound(request: Request): ConclaveError {
  return new ConclaveError('not_found', { path: request.originalUrl.slice(0, 200) });
}
