/* What comes back from outside of a node: copies of its key shares, and evidence that others hand over. */
import { createSign } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { ConclaveError } from '../../lib/errors.ts';
import type { Json } from '../../lib/json.ts';
import { contradictions, type Order, readEvidence, signOrder } from '../../tasks/election/orders.ts';
import { shareFilesOf } from '../../tasks/election/private-shares.ts';
import type { ElectionServices } from '../../tasks/election/services.ts';
import { ArchiveRefused, BLOCK, paddingOf, writeHeader } from '../../tasks/election/tar-format.ts';
import { identity } from '../tasks/election/certificates.ts';
import { spoiled, spoiledJsonText } from './mutations.ts';
import { type AnyTarget, Misbehaviour, target } from './target.ts';

const SHARE = JSON.stringify({ version: 1, group: 'P-256', party: 1, share: 'ab'.repeat(32) });
const MOST_BYTES = 1 << 20;

function shares(): Buffer {
  return Buffer.concat([
    writeHeader({ name: '0-a', type: 'directory', size: 0 }),
    writeHeader({ name: '0-a/privInfo.json', type: 'file', size: SHARE.length }),
    Buffer.from(SHARE),
    Buffer.alloc(paddingOf(SHARE.length) + 2 * BLOCK),
  ]);
}

function evidence(): Json {
  const { cert, key } = identity('director');
  const services = {
    certificate: cert,
    sign: (data: Uint8Array) => createSign('sha256').update(data).sign(key),
  } as ElectionServices;
  const request_hash = 'a'.repeat(64);
  const orders: Order[] = [
    { kind: 'election', election_id: 7, request_hash, sessions: ['0-a', '1-b'] },
    { kind: 'tally', election_id: 7, request_hash, tally_id: 'one' },
  ];
  return { version: 1, orders: orders.map((order) => ({ order, ...signOrder(services, order) })) };
}

/** Errors of zlib have codes. */
function isDamage(thrown: unknown): boolean {
  const { code } = thrown as { code?: unknown };
  return (
    thrown instanceof ArchiveRefused || (typeof code === 'string' && /^Z_|^ERR_BUFFER_TOO_LARGE$/.test(code))
  );
}

export const custodyTargets: readonly AnyTarget[] = [
  target({
    name: 'archive of key shares',
    inputs: fc.oneof(
      spoiled(shares()).map((bytes) => gzipSync(bytes)),
      spoiled(gzipSync(shares())),
    ),
    run(bytes) {
      let size = 0;
      for (const content of shareFilesOf(Buffer.from(bytes)).values()) size += content.length;
      if (size > MOST_BYTES) throw new Misbehaviour(`it holds ${size} bytes`);
    },
    refuses: isDamage,
    cost: 3,
  }),
  target({
    name: 'evidence against a director',
    inputs: spoiledJsonText(evidence()),
    run(bytes) {
      // Of two orders about different things nothing follows, whatever is done to them.
      if (contradictions(readEvidence(Buffer.from(bytes))).length > 0)
        throw new Misbehaviour('it convicts somebody who has signed no contradiction');
    },
    refuses: (thrown) => thrown instanceof ConclaveError && thrown.code === 'invalid_request',
    cost: 5,
  }),
];
