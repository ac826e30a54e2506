/*
 * Inputs for fuzzing: random ones, and valid ones that were then spoiled, as octets, as texts, or as JSON values. Who
 * only throws random octets at a parser never gets past its first check.
 */
import fc from 'fast-check';
import type { Json } from '../../lib/json.ts';

/** Numbers at which lengths, counts and signs go wrong. */
const EDGES = [0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff];

/** Of the seed: how far along, in parts of a million, so that a shorter seed while shrinking keeps it inside. */
const place = fc.nat({ max: 1_000_000 });
const at = (bytes: Uint8Array, part: number): number => Math.floor((part / 1_000_001) * (bytes.length + 1));

type Mutation = (bytes: Buffer) => Buffer;

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.tuple(place, fc.nat({ max: 255 })).map(
    ([where, octet]): Mutation =>
      (bytes) => {
        const index = at(bytes, where);
        if (index < bytes.length) bytes[index] = octet;
        return bytes;
      },
  ),
  fc.tuple(place, fc.nat({ max: 7 })).map(
    ([where, bit]): Mutation =>
      (bytes) => {
        const index = at(bytes, where);
        if (index < bytes.length) bytes[index]! ^= 1 << bit;
        return bytes;
      },
  ),
  // A length field is four octets, big endian.
  fc.tuple(place, fc.constantFrom(...EDGES)).map(
    ([where, value]): Mutation =>
      (bytes) => {
        const index = at(bytes, where);
        if (index + 4 <= bytes.length) bytes.writeUInt32BE(value, index);
        return bytes;
      },
  ),
  fc.tuple(place, fc.uint8Array({ maxLength: 12 })).map(
    ([where, more]): Mutation =>
      (bytes) => {
        const index = at(bytes, where);
        return Buffer.concat([bytes.subarray(0, index), more, bytes.subarray(index)]);
      },
  ),
  fc.tuple(place, place).map(
    ([from, to]): Mutation =>
      (bytes) => {
        const [first, last] = [at(bytes, Math.min(from, to)), at(bytes, Math.max(from, to))];
        return Buffer.concat([bytes.subarray(0, first), bytes.subarray(last)]);
      },
  ),
  fc.tuple(place, place, place).map(
    ([from, to, where]): Mutation =>
      (bytes) => {
        const piece = bytes.subarray(at(bytes, Math.min(from, to)), at(bytes, Math.max(from, to)));
        const index = at(bytes, where);
        return Buffer.concat([bytes.subarray(0, index), piece, bytes.subarray(index)]);
      },
  ),
  place.map(
    (where): Mutation =>
      (bytes) =>
        bytes.subarray(0, at(bytes, where)),
  ),
);

/** One of the seeds with up to six mutations; now and then unchanged, two together, or no seed at all. */
export function spoiled(...seeds: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const seed = fc.constantFrom(...seeds);
  return fc.oneof(
    {
      weight: 8,
      arbitrary: fc.tuple(seed, fc.array(mutation, { maxLength: 6 })).map(([bytes, changes]): Uint8Array => {
        let spoilt: Buffer = Buffer.from(bytes);
        for (const change of changes) spoilt = change(Buffer.from(spoilt));
        return spoilt;
      }),
    },
    { weight: 1, arbitrary: fc.tuple(seed, seed).map(([one, other]) => Buffer.concat([one, other])) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }) },
  );
}

export function spoiledText(...seeds: readonly string[]): fc.Arbitrary<string> {
  return fc.oneof(
    { weight: 6, arbitrary: spoiled(...seeds.map((seed) => Buffer.from(seed))).map(asText) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 200 }) },
    { weight: 1, arbitrary: fc.constantFrom(...seeds) },
  );
}

const asText = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');

/** What JSON values are replaced by: other types, edges of numbers, names of prototypes, texts that mean something. */
const strange: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    0,
    -1,
    1.5,
    1e308,
    2 ** 53,
    -(2 ** 63),
    '',
    '\0',
    '\ud800',
    '__proto__',
    'constructor',
    '../../etc/passwd',
    'https://169.254.169.254/latest',
    '2030-02-30T00:00:00',
    '9'.repeat(1301),
    'f'.repeat(130),
    [],
    {},
    [[[[[[[[[[]]]]]]]]]],
  ),
  fc.jsonValue({ maxDepth: 3 }),
  fc.integer(),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constant(
    JSON.parse('{"__proto__": {"polluted": true}, "constructor": {"prototype": {"polluted": true}}}'),
  ),
);

type Change = { path: number[]; what: 'replace' | 'remove' | 'add' | 'copy'; value: unknown; key: string };

const change: fc.Arbitrary<Change> = fc.record({
  path: fc.array(fc.nat({ max: 1000 }), { minLength: 1, maxLength: 6 }),
  what: fc.constantFrom('replace' as const, 'remove' as const, 'add' as const, 'copy' as const),
  value: strange,
  key: fc.oneof(
    fc.constantFrom('__proto__', 'constructor', 'toString', '', 'id'),
    fc.string({ maxLength: 8 }),
  ),
});

/** One of the values with up to four changes somewhere inside. */
export function spoiledJson(...seeds: readonly Json[]): fc.Arbitrary<unknown> {
  return fc.oneof(
    {
      weight: 9,
      arbitrary: fc
        .tuple(fc.constantFrom(...seeds), fc.array(change, { minLength: 1, maxLength: 4 }))
        .map(([seed, changes]) => changes.reduce(changed, structuredClone(seed) as unknown)),
    },
    { weight: 1, arbitrary: fc.oneof(fc.jsonValue(), strange) },
  );
}

/** The same as a text, also with what no value can hold: keys twice, numbers too long, great depth. */
export function spoiledJsonText(...seeds: readonly Json[]): fc.Arbitrary<Uint8Array> {
  const texts = seeds.map((seed) => Buffer.from(JSON.stringify(seed)));
  return fc.oneof(
    { weight: 5, arbitrary: spoiledJson(...seeds).map((value) => Buffer.from(JSON.stringify(value) ?? '')) },
    { weight: 4, arbitrary: spoiled(...texts) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(
          fc.constantFrom('[', '{"a":', '{"a":1,"a":', '[1e999,', '[12345678901234567890,'),
          fc.nat({ max: 300 }),
        )
        .map(([piece, times]) => Buffer.from(piece.repeat(times))),
    },
  );
}

function changed(root: unknown, { path, what, value: given, key }: Change): unknown {
  // Constants are shared by all inputs, and a later change may go inside.
  const value = structuredClone(given);
  let parent: unknown;
  let name: string | number = '';
  let here: unknown = root;
  for (const step of path) {
    const names = typeof here === 'object' && here !== null ? Object.keys(here) : [];
    if (names.length === 0) break;
    parent = here;
    name = names[step % names.length]!;
    here = (here as Record<string, unknown>)[name];
  }
  if (parent === undefined) return value;
  const holder = parent as Record<string, unknown>;
  if (what === 'replace') holder[name] = value;
  else if (what === 'remove') {
    if (Array.isArray(holder)) holder.splice(Number(name), 1);
    else delete holder[name];
  } else if (what === 'copy') holder[name] = structuredClone(root);
  else if (Array.isArray(holder)) holder.push(value);
  else Object.defineProperty(holder, key, { value, enumerable: true, configurable: true, writable: true });
  return root;
}
