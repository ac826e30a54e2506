/**
 * Writes the AssemblyScript source of the P-256 base field's products, which is too regular to be written by hand:
 * nine limbs of 29 bits, Montgomery with R = 2^261, in straight-line code.
 *
 * p = 2^256 - 2^224 + 2^192 + 2^96 - 1, hence p = -1 mod 2^29 and -1/p = 1 mod 2^29: the Montgomery quotient digit
 * of a column is the column's own low 29 bits, and adding q·p to the columns takes shifts only (Gueron and
 * Krasnov, "Fast prime field elliptic-curve cryptography with 256-bit primes", 2015, use the same fact for 64 bits).
 *
 * Bounds: see `docs/arithmetic.md`; `test/mixnet/kernel/limb-bounds.test.ts` drives the products to them.
 */

export const LIMBS = 9;
export const LIMB_BITS = 29;

export const P256_PRIME = 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n;
export const P256_B = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn;
export const P256_ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
export const P256_BASE = {
  x: 0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296n,
  y: 0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5n,
};

/** q·(p + 1) in columns: at the distance of `limbs` from the quotient digit, shifted left by `shift`. */
const REDUCTION = [
  { limbs: 3, shift: 9, sign: '+' }, // 2^96  = 2^(3·29 + 9)
  { limbs: 6, shift: 18, sign: '+' }, // 2^192 = 2^(6·29 + 18)
  { limbs: 7, shift: 21, sign: '-' }, // 2^224 = 2^(7·29 + 21)
  { limbs: 8, shift: 24, sign: '+' }, // 2^256 = 2^(8·29 + 24)
] as const;

const COLUMNS = 2 * LIMBS - 1;

/** The limbs of `value`, least significant first. */
export function limbsOf(value: bigint, count = LIMBS, bits = LIMB_BITS): number[] {
  return Array.from({ length: count }, (_, i) =>
    Number((value >> BigInt(bits * i)) & ((1n << BigInt(bits)) - 1n)),
  );
}

function indices(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/** Pairs (i, j) with i + j = column, both below `limbs`. */
function columnPairs(column: number, limbs: number): [number, number][] {
  return indices(limbs)
    .filter((i) => column - i >= 0 && column - i < limbs)
    .map((i) => [i, column - i]);
}

/** One lane in 64-bit integers: the columns of a product or a square, reduced as they are made. */
function oneLane(name: string, square: boolean): string {
  const lines = [`export function ${name}(o: usize, a: usize${square ? '' : ', b: usize'}): void {`];
  for (const i of indices(LIMBS)) {
    lines.push(`  const a${i}: i64 = load<i32>(a, ${4 * i});`);
    if (!square) lines.push(`  const b${i}: i64 = load<i32>(b, ${4 * i});`);
    else if (i < LIMBS - 1) lines.push(`  const d${i}: i64 = a${i} << 1;`);
  }
  lines.push('  let t: i64 = 0, c: i64 = 0;');
  for (const column of indices(COLUMNS)) {
    const terms = square
      ? columnPairs(column, LIMBS)
          .filter(([i, j]) => i <= j)
          .map(([i, j]) => (i === j ? `a${i} * a${i}` : `d${i} * a${j}`))
      : columnPairs(column, LIMBS).map(([i, j]) => `a${i} * b${j}`);
    const reduction = REDUCTION.filter(({ limbs }) => column - limbs >= 0 && column - limbs < LIMBS).map(
      ({ limbs, shift, sign }) => ` ${sign} (q${column - limbs} << ${shift})`,
    );
    lines.push(`  t = ${terms.join(' + ')} + c${reduction.join('')};`);
    lines.push(
      column < LIMBS
        ? `  const q${column}: i64 = t & 0x1fffffff;`
        : `  store<i32>(o, <i32>(t & 0x1fffffff), ${4 * (column - LIMBS)});`,
    );
    lines.push(`  c = t >> ${LIMB_BITS};`);
  }
  lines.push(`  store<i32>(o, <i32>c, ${4 * (LIMBS - 1)});`, '}');
  return lines.join('\n');
}

/*
 * Four lanes: limb k of four elements in one 128-bit vector; a column's sum of products takes two vectors of 64-bit
 * integers, `low` (lanes 0 and 1) and `high` (2 and 3). There is no 64-bit arithmetic shift on four lanes worth
 * using, so column sums carry a bias of 2^63 and are shifted as unsigned numbers; the carry's bias, 2^34, is taken
 * back in the next column.
 */
type Half = 'low' | 'high';

const add = (x: string, y: string): string => `i64x2.add(${x}, ${y})`;

function sum(terms: readonly string[]): string {
  return terms.reduce((total, term) => (total === '' ? term : add(total, term)), '');
}

/** The reduction of the given columns into `r<half><limb>`. */
function reduceFourLanes(half: Half, columns: readonly (readonly string[])[]): string[] {
  const lines = [`  let c${half}: v128, t${half}: v128;`];
  columns.forEach((terms, column) => {
    lines.push(`  t${half} = ${column === 0 ? 'FIRST' : add(`c${half}`, 'NEXT')};`);
    for (const term of terms) lines.push(`  t${half} = ${add(`t${half}`, term)};`);
    for (const { limbs, shift, sign } of REDUCTION) {
      const k = column - limbs;
      if (k < 0 || k >= LIMBS) continue;
      lines.push(
        `  t${half} = i64x2.${sign === '+' ? 'add' : 'sub'}(t${half}, i64x2.shl(q${half}${k}, ${shift}));`,
      );
    }
    const digit = column < LIMBS ? `q${half}${column}` : `r${half}${column - LIMBS}`;
    lines.push(
      `  const ${digit} = v128.and(t${half}, MASK64); c${half} = i64x2.shr_u(t${half}, ${LIMB_BITS});`,
    );
  });
  lines.push(`  const r${half}${LIMBS - 1} = i64x2.sub(c${half}, i64x2.splat(1 << 34));`);
  return lines;
}

function fourLanesFrame(signature: string, loads: string[], halves: string[]): string {
  return [
    `export function ${signature}: void {`,
    ...loads,
    '  const MASK64 = i64x2.splat(0x1fffffff);',
    '  const FIRST = i64x2.splat(0x8000000000000000), NEXT = i64x2.splat(0x8000000000000000 - (1 << 34));',
    ...halves,
    ...indices(LIMBS).map(
      (i) => `  v128.store(o, v128.shuffle<i32>(rlow${i}, rhigh${i}, 0, 2, 4, 6), ${16 * i});`,
    ),
    '}',
  ].join('\n');
}

function squareFourLanes(): string {
  const loads = indices(LIMBS).map((i) => `  const a${i} = v128.load(a, ${16 * i});`);
  for (const i of indices(LIMBS - 1)) loads.push(`  const d${i} = i32x4.shl(a${i}, 1);`);
  const halves = (['low', 'high'] as const).flatMap((half) =>
    reduceFourLanes(
      half,
      indices(COLUMNS).map((column) =>
        columnPairs(column, LIMBS)
          .filter(([i, j]) => i <= j)
          .map(([i, j]) => `i64x2.extmul_${half}_i32x4_s(${i === j ? 'a' : 'd'}${i}, a${j})`),
      ),
    ),
  );
  return fourLanesFrame('sqr4(o: usize, a: usize)', loads, halves);
}

/** Products of two three-limb blocks: five columns named `<name>_0` … `<name>_4`. */
function blockProduct(
  name: string,
  half: Half,
  x: (k: number) => string,
  y: (k: number) => string,
): string[] {
  return indices(5).map((column) => {
    const terms = columnPairs(column, 3).map(([i, j]) => `i64x2.extmul_${half}_i32x4_s(${x(i)}, ${y(j)})`);
    return `  const ${name}_${column} = ${sum(terms)};`;
  });
}

/**
 * Three-way Karatsuba on blocks of three limbs: six block products for nine, since
 * (A_i - A_j)(B_j - B_i) = A_i B_j + A_j B_i - A_i B_i - A_j B_j. The differences must fit 32 bits; sums of block
 * products may wrap around 2^64, the finished columns do not.
 */
function multiplyFourLanes(): string {
  const pairs = [
    [0, 1],
    [0, 2],
    [1, 2],
  ] as const;
  const loads = indices(LIMBS).map(
    (i) => `  const a${i} = v128.load(a, ${16 * i}), b${i} = v128.load(b, ${16 * i});`,
  );
  for (const [i, j] of pairs) {
    for (const k of indices(3)) {
      loads.push(
        `  const u${i}${j}_${k} = i32x4.sub(a${3 * i + k}, a${3 * j + k}), v${i}${j}_${k} = i32x4.sub(b${3 * j + k}, b${3 * i + k});`,
      );
    }
  }
  const halves = (['low', 'high'] as const).flatMap((half) => {
    const diagonal = (i: number) =>
      blockProduct(
        `${half}D${i}`,
        half,
        (k) => `a${3 * i + k}`,
        (k) => `b${3 * i + k}`,
      );
    const cross = (i: number, j: number) =>
      blockProduct(
        `${half}E${i}${j}`,
        half,
        (k) => `u${i}${j}_${k}`,
        (k) => `v${i}${j}_${k}`,
      );
    const lines = [
      ...diagonal(0),
      ...diagonal(1),
      ...cross(0, 1),
      ...diagonal(2),
      ...cross(0, 2),
      ...cross(1, 2),
    ];
    for (const n of indices(5)) {
      const [d0, d1, d2] = [0, 1, 2].map((i) => `${half}D${i}_${n}`) as [string, string, string];
      lines.push(`  const ${half}S_${n} = ${add(d0, d1)};`);
      lines.push(`  const ${half}C1_${n} = ${add(`${half}E01_${n}`, `${half}S_${n}`)};`);
      lines.push(`  const ${half}C2_${n} = ${add(`${half}E02_${n}`, add(`${half}S_${n}`, d2))};`);
      lines.push(`  const ${half}C3_${n} = ${add(`${half}E12_${n}`, add(d1, d2))};`);
    }
    const blocks = ['D0', 'C1', 'C2', 'C3', 'D2'];
    const columns = indices(COLUMNS).map((column) =>
      blocks.flatMap((block, k) => {
        const n = column - 3 * k;
        return n >= 0 && n < 5 ? [`${half}${block}_${n}`] : [];
      }),
    );
    return [...lines, ...reduceFourLanes(half, columns)];
  });
  return fourLanesFrame('mul4(o: usize, a: usize, b: usize)', loads, halves);
}

/** The module `p256/products`. */
export function p256ProductsSource(): string {
  return [
    '// Written by build/p256-field.ts.',
    oneLane('mul', false),
    oneLane('sqr', true),
    multiplyFourLanes(),
    squareFourLanes(),
    '',
  ].join('\n');
}

const MONTGOMERY = 2n ** BigInt(LIMBS * LIMB_BITS);

function dataLine(name: string, words: readonly number[]): string {
  return `export const ${name}: usize = memory.data<i32>([${words.join(', ')}], 16);`;
}

/** A field element in Montgomery form, in one lane (padded to 48 octets for vector loads). */
function oneLaneConstant(name: string, value: bigint): string {
  return dataLine(name, [...limbsOf((value * MONTGOMERY) % P256_PRIME), 0, 0, 0]);
}

/** A value in all four lanes, as it is. */
function plainFourLaneConstant(name: string, value: bigint): string {
  return dataLine(
    name,
    limbsOf(value).flatMap((limb) => [limb, limb, limb, limb]),
  );
}

function fourLaneConstant(name: string, value: bigint): string {
  return plainFourLaneConstant(name, (value * MONTGOMERY) % P256_PRIME);
}

/** The module `p256/constants`. */
export function p256ConstantsSource(): string {
  const point = [P256_BASE.x, P256_BASE.y].flatMap((v) => limbsOf((v * MONTGOMERY) % P256_PRIME));
  return [
    '// Written by build/p256-field.ts. Field elements are in Montgomery form except PRIME and PLAIN_ONE.',
    dataLine('PRIME', [...limbsOf(P256_PRIME), 0, 0, 0]),
    dataLine('PLAIN_ONE', [1, ...Array.from({ length: 11 }, () => 0)]),
    oneLaneConstant('ONE', 1n),
    oneLaneConstant('THREE', 3n),
    oneLaneConstant('B', P256_B),
    oneLaneConstant('R2', MONTGOMERY % P256_PRIME),
    oneLaneConstant('R2_UPPER', (MONTGOMERY * 2n ** 256n) % P256_PRIME),
    plainFourLaneConstant('PRIME4', P256_PRIME),
    plainFourLaneConstant('PLAIN_ONE4', 1n),
    fourLaneConstant('R2_4', MONTGOMERY),
    fourLaneConstant('ONE4', 1n),
    fourLaneConstant('THREE4', 3n),
    fourLaneConstant('B4', P256_B),
    dataLine('BASE', [...point, 0, 0]),
    '',
  ].join('\n');
}
