/** Public keys in JSON: `{g, p, q, y}` as Verificatum and the original write them, or `{group, g, y}` (D45). */
import { z } from 'zod';
import type { PublicKey } from '../elgamal/ciphertexts.ts';
import type { Group } from '../groups/group.ts';
import { groupByName, modpGroup } from '../groups/registry.ts';
import { Refusal } from '../refusal.ts';

const decimal = z.string().regex(/^[1-9][0-9]{0,1299}$/);
const modpKey = z.strictObject({
  g: decimal,
  p: decimal,
  q: decimal,
  y: decimal,
  encoding: z.literal('1').optional(),
});
const namedKey = z.strictObject({
  group: z.string().max(32),
  g: z.string().max(1300),
  y: z.string().max(1300),
});
const publicKey = z.union([modpKey, namedKey]);

export type PublicKeyJson = Readonly<Record<string, string>>;

/** Only keys of width one have a JSON form. */
export function publicKeyToJson(group: Group, key: PublicKey): PublicKeyJson {
  const [y] = key.y;
  if (y === undefined || key.y.length !== 1) throw new RangeError('a wide key has no JSON form');
  return { ...group.jsonDescription, y: group.elementText(y, 0) };
}

export function publicKeyFromJson(value: unknown): { group: Group; key: PublicKey } {
  const parsed = publicKey.safeParse(value);
  if (!parsed.success) {
    throw new Refusal('json-malformed', 'a public key is {g, p, q, y} in decimal strings or {group, g, y}');
  }
  const group = groupOf(parsed.data);
  if (group.elementText(group.generator, 0) !== parsed.data.g) {
    throw new Refusal('generator-mismatch', 'g is not the generator of the group');
  }
  const y = group.parseElement(parsed.data.y, 'y');
  if (group.isIdentity(y, 0)) throw new Refusal('element-is-identity', 'the public key is the identity');
  return { group, key: { y: [y] } };
}

function groupOf(key: z.infer<typeof publicKey>): Group {
  if ('group' in key) return groupByName(key.group);
  if (BigInt(key.q) !== (BigInt(key.p) - 1n) / 2n) {
    throw new Refusal('group-description-invalid', 'q is not (p - 1) / 2');
  }
  return modpGroup(BigInt(key.p), BigInt(key.g));
}
