/** What one distributed key is generated for and by whom; its digest binds every message of the generation. */
import { createHash } from 'node:crypto';
import { intLeaf, leaf, node, serialise, type Tree, textLeaf } from '../byte-tree/tree.ts';
import type { Group } from '../groups/group.ts';
import { fromHex } from '../octets.ts';
import { Refusal } from '../refusal.ts';
import { type PartyKey, readPartyKey } from './party-key.ts';

export interface KeyContext {
  readonly electionId: string;
  readonly sessionId: string;
  readonly group: Group;
  /** t. */
  readonly threshold: number;
  /** In the order of the party indices; party l has `partyKeys[l - 1]`. */
  readonly partyKeys: readonly PartyKey[];
  readonly digest: Uint8Array;
}

/** Checks the party keys; every authority must be shown the same ones, which comparing digests ensures. */
export function keyContext(
  electionId: string,
  sessionId: string,
  group: Group,
  threshold: number,
  partyKeys: readonly unknown[],
): KeyContext {
  const keys = partyKeys.map((key) => readPartyKey(key, electionId));
  const distinct = new Set(keys.flatMap((key) => [key.signing, key.encryption]));
  if (distinct.size !== 2 * keys.length)
    throw new Refusal('party-key-invalid', 'two parties have the same key');
  if (!Number.isInteger(threshold) || threshold < 1 || threshold > keys.length) {
    throw new RangeError(`no threshold for ${keys.length} parties: ${threshold}`);
  }
  const digest = hashOf(
    node(
      textLeaf('conclave key generation, version 1'),
      textLeaf(electionId),
      textLeaf(sessionId),
      group.marshalled,
      intLeaf(threshold),
      node(...keys.map((key) => node(leaf(fromHex(key.signing)!), leaf(fromHex(key.encryption)!)))),
    ),
  );
  return { electionId, sessionId, group, threshold, partyKeys: keys, digest };
}

export function hashOf(tree: Tree): Uint8Array {
  return new Uint8Array(createHash('sha256').update(serialise(tree)).digest());
}

export function checkIndex(context: KeyContext, party: number): void {
  if (!Number.isInteger(party) || party < 1 || party > context.partyKeys.length) {
    throw new Refusal('party-unknown', `there is no party ${party}`);
  }
}
