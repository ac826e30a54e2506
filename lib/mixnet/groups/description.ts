/**
 * Marshalled group descriptions (VF 3.1): `human text :: hex of node(leaf(Java class name), content)`.
 *
 * Only the hex after the last `::` says which group it is, but the whole string is hashed into rho: keep it verbatim.
 */
import { leaf, node, serialise, type Tree, textLeaf } from '../byte-tree/tree.ts';
import { hex } from '../octets.ts';

export function marshal(className: string, content: Tree): Tree {
  return node(textLeaf(className), content);
}

export function describe(humanText: string, marshalled: Tree): string {
  return `${humanText}::${hex(serialise(marshalled))}`;
}

/** `ModPGroup`: `node(p, q, g, encoding)`, numbers as `BigInteger.toByteArray()`, g as a group element (VF 3.2). */
export function modpContent(p: Tree, q: Tree, g: Tree, encoding: Uint8Array): Tree {
  return node(p, q, g, leaf(encoding));
}
