/**
 * Bulk data (D17, D35): files that this node offers to named peers, and files of peers that come with tasks.
 *
 *     GET /api/data/<id>     one shared file, to the peers named as its readers; 404 to everybody else
 *
 * Files are streamed both ways, never whole in memory. What a task brought lies in a private folder of its own until
 * the task has ended; folders that a killed process left are removed at the next start.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, link, mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Request, Response } from 'express';
import type { Knex } from 'knex';
import { type AsyncDataReference, hasEnded, type Task } from '../engine/model.ts';
import { ConclaveError, reasonOf } from '../errors.ts';
import { fetchToFile } from '../protocol/bulk-fetch.ts';
import type { FederationClient } from '../protocol/client.ts';
import type { Log } from '../protocol/log.ts';
import type { PeerDirectory } from '../protocol/peers.ts';
import { peerOf } from '../protocol/trust.ts';
import {
  deleteSharedBelow,
  findShared,
  findSharedById,
  insertShared,
  type SharedFile,
} from '../store/shared-files.ts';

const PATH = '/api/data/';
const ID = /^[A-Za-z0-9_-]{22,64}$/;

export interface BulkDataOptions {
  readonly db: Knex;
  readonly peers: PeerDirectory;
  readonly client: FederationClient;
  /** Scheme, host and port under which peers reach this node. */
  readonly origin: string;
  /** Below it, a folder for each task with bulk data. */
  readonly folder: string;
  readonly maxBytes: number;
  readonly log: Log;
}

export class BulkData {
  readonly #options: BulkDataOptions;
  /** Tasks whose folders this process has made or found. */
  readonly #tasks = new Set<string>();

  constructor(options: BulkDataOptions) {
    this.#options = options;
  }

  /** Offers a file that does not change any more; the same file for the same readers is offered once. */
  async share(path: string, readers: readonly string[]): Promise<AsyncDataReference> {
    const { db, origin } = this.#options;
    const absolute = resolve(path);
    const { sha256, size } = await digest(absolute);
    const wanted = { path: absolute, size, sha256, readers: [...new Set(readers)].sort() };
    const id = (await findShared(db, wanted))?.id ?? randomBytes(24).toString('base64url');
    await insertShared(db, { id, ...wanted });
    return { url: `${origin}${PATH}${id}`, sha256, size };
  }

  async withdraw(folder: string): Promise<void> {
    await deleteSharedBelow(this.#options.db, `${resolve(folder)}${sep}`);
  }

  /** Answers `GET /api/data/:id`; the caller was identified as a peer before. */
  async serve(request: Request, response: Response): Promise<void> {
    const id = String(request.params.id);
    const shared = ID.test(id) ? await findSharedById(this.#options.db, id) : undefined;
    if (shared === undefined || !shared.readers.includes(peerOf(response).id)) {
      throw new ConclaveError('not_found', { path: request.path });
    }
    const etag = `"${shared.sha256}"`;
    response.set({
      ETag: etag,
      'Content-Type': 'application/octet-stream',
      'Cache-Control': 'private, no-store',
    });
    if (request.headers['if-none-match'] === etag) {
      response.status(304).end();
      return;
    }
    await stream(shared, request, response);
  }

  /** Fetches what a task names into its folder (D17); answers with paths by name. Throws `async_data_failed`. */
  async fetch(task: Task, signal: AbortSignal): Promise<Map<string, string>> {
    const folder = this.#folderOf(task.id);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    this.#tasks.add(task.id);
    const files = new Map<string, string>();
    const entries = Object.entries(task.asyncData ?? {});
    for (const [index, [name, reference]] of entries.entries()) {
      // The name is the sender's: it is no file name of ours.
      const path = join(folder, String(index));
      await this.#fetchOne(name, reference, path, signal);
      files.set(name, path);
    }
    return files;
  }

  /** What came with these tasks is no longer needed. Told of every task that ends; nearly all have nothing here. */
  async forget(taskIds: readonly string[]): Promise<void> {
    for (const id of taskIds) {
      if (!this.#tasks.delete(id)) continue;
      await rm(this.#folderOf(id), { recursive: true, force: true }).catch((thrown: unknown) =>
        this.#options.log.warn(
          { event: 'bulk_data_kept', task: id, reason: reasonOf(thrown) },
          'not removed',
        ),
      );
    }
  }

  /** Removes the folders of tasks that have ended while nobody was there to notice. */
  async sweep(taskOf: (id: string) => Promise<Task | undefined>): Promise<void> {
    for (const name of await readdir(this.#options.folder).catch(() => [])) {
      const id = Buffer.from(name, 'base64url').toString('utf8');
      this.#tasks.add(id);
      const task = await taskOf(id);
      if (task === undefined || hasEnded(task)) await this.forget([id]);
    }
  }

  async #fetchOne(
    name: string,
    reference: AsyncDataReference,
    path: string,
    signal: AbortSignal,
  ): Promise<void> {
    const { client, peers, maxBytes, origin, db } = this.#options;
    if (reference.url.startsWith(`${origin}${PATH}`)) {
      // A task that this node sent to itself.
      const shared = await findSharedById(db, reference.url.slice(origin.length + PATH.length));
      if (shared?.sha256 !== reference.sha256) {
        throw new ConclaveError('async_data_failed', {
          name,
          reason: 'this node does not share it any more',
        });
      }
      await rm(path, { force: true });
      await link(shared.path, path).catch(() => copyFile(shared.path, path));
      return;
    }
    if (await isThere(path, reference)) return;
    await fetchToFile(client, peers, { name, reference, path, maxBytes, signal });
  }

  #folderOf(taskId: string): string {
    return join(this.#options.folder, Buffer.from(taskId, 'utf8').toString('base64url'));
  }
}

/** Fetched by an earlier attempt of the task. */
async function isThere(path: string, { size, sha256 }: AsyncDataReference): Promise<boolean> {
  const entry = await stat(path).catch(() => null);
  return entry?.size === size && (await digest(path)).sha256 === sha256;
}

async function digest(path: string): Promise<{ sha256: string; size: number }> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const piece of createReadStream(path) as AsyncIterable<Buffer>) {
    hash.update(piece);
    size += piece.length;
  }
  return { sha256: hash.digest('hex'), size };
}

async function stream(shared: SharedFile, request: Request, response: Response): Promise<void> {
  const file = await open(shared.path, 'r');
  try {
    const { size } = await file.stat();
    if (size !== shared.size)
      throw new Error(`the shared file ${shared.path} has ${size} bytes, not ${shared.size}`);
    response.setHeader('Content-Length', size);
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    await pipeline(file.createReadStream({ autoClose: false }), response).catch((thrown: unknown) => {
      // The reader went away: nobody is left to answer.
      if (response.writableFinished || !response.destroyed) throw thrown;
    });
  } finally {
    await file.close();
  }
}
