/**
 * Fetching bulk data of a peer into a file (`async_data`, D17, D35): streamed, never whole in memory, bounded by the
 * announced size, and there only when size and SHA-256 are the announced ones. https, pinned peers, no redirects (D25).
 */
import { createHash, randomUUID } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import type { AsyncDataReference } from '../engine/model.ts';
import { ConclaveError, reasonOf } from '../errors.ts';
import type { FederationClient, ReachablePeer } from './client.ts';
import type { PeerDirectory } from './peers.ts';

export interface BulkFetch {
  /** Name of the data, for errors. */
  name: string;
  reference: AsyncDataReference;
  /** Where the file is to be; it appears there complete or not at all. Mode 0600. */
  path: string;
  /** The most bytes that this node is willing to fetch. */
  maxBytes: number;
  /** For the whole of it; the pauses between pieces are bounded by the client. */
  signal?: AbortSignal;
}

/** Throws `async_data_failed`; with `passing` when nothing is wrong with the data, but a network, a peer or a disk is. */
export async function fetchToFile(
  client: FederationClient,
  peers: Pick<PeerDirectory, 'byOrigin'>,
  fetch: BulkFetch,
): Promise<void> {
  const { reference, maxBytes, path } = fetch;
  const peer = peers.byOrigin(reference.url);
  if (peer === undefined || peer.url === null || !reference.url.startsWith('https://')) {
    throw failed(fetch, `${reference.url} is not at a peer of this node`);
  }
  if (reference.size > maxBytes) {
    throw failed(fetch, `it has ${reference.size} bytes, this node accepts ${maxBytes}`);
  }
  const partial = `${path}.${randomUUID()}.part`;
  try {
    await download(client, peer as ReachablePeer, fetch, partial);
    await rename(partial, path);
  } catch (thrown) {
    await rm(partial, { force: true });
    throw thrown instanceof ConclaveError
      ? thrown
      : failed(fetch, reasonOf(thrown), { cause: thrown, passing: true });
  }
}

async function download(
  client: FederationClient,
  peer: ReachablePeer,
  fetch: BulkFetch,
  partial: string,
): Promise<void> {
  const { url, sha256, size } = fetch.reference;
  const { pathname, search } = new URL(url);
  const response = await client.poolOf(peer, 'bulk').request({
    method: 'GET',
    path: pathname + search,
    headers: { 'accept-encoding': 'identity' },
    signal: fetch.signal ?? null,
  });
  if (response.statusCode !== 200) {
    await response.body.dump();
    const passing = response.statusCode >= 500 || response.statusCode === 429;
    throw failed(fetch, `the peer ${peer.name} answered with status ${response.statusCode}`, { passing });
  }
  const hash = createHash('sha256');
  let received = 0;
  const file = await open(partial, 'wx', 0o600);
  try {
    for await (const piece of response.body as AsyncIterable<Buffer>) {
      received += piece.length;
      if (received > size) throw failed(fetch, `it is larger than the announced ${size} bytes`);
      hash.update(piece);
      await file.appendFile(piece);
    }
    await file.sync();
  } finally {
    await file.close();
  }
  if (received !== size) throw failed(fetch, `it has ${received} bytes, not the announced ${size}`);
  const actual = hash.digest('hex');
  if (actual !== sha256) throw failed(fetch, `its SHA-256 is ${actual}, not the announced ${sha256}`);
}

function failed(
  { name }: BulkFetch,
  reason: string,
  { cause, passing = false }: { cause?: unknown; passing?: boolean } = {},
): ConclaveError {
  return new ConclaveError('async_data_failed', { name, reason, ...(passing && { passing }) }, { cause });
}
