// Points as byte trees, node(x, y) with leaves of 33 octets (docs/specification/proofs.md, 1.2): 81 octets a point, to
// and from the 64 of the other operations. In a tree infinity is x = y = -1.

// @ts-ignore: decorator
@inline const OUTSIDE: usize = 64;
// @ts-ignore: decorator
@inline const TREE: usize = 81;
/** Where the leaves' 33 octets begin; the first of them is the sign. */
// @ts-ignore: decorator
@inline const X: usize = 10;
// @ts-ignore: decorator
@inline const Y: usize = 48;

/** 00 00000002 01 00000021 before x, 01 00000021 before y. */
function writeHeads(tree: usize): void {
  store<u64>(tree, 0x0000010200000000); // octets 4 and 5 are 02 and 01
  store<u8>(tree, 0, 8);
  store<u8>(tree, 33, 9);
  store<u32>(tree, 1, 43);
  store<u8>(tree, 33, 47);
}

function hasHeads(tree: usize): bool {
  return load<u64>(tree) == 0x0000010200000000 && load<u16>(tree, 8) == 33 << 8 && load<u32>(tree, 43) == 1 &&
    load<u8>(tree, 47) == 33;
}

// @ts-ignore: decorator
@inline function copy32(to: usize, from: usize): void {
  v128.store(to, v128.load(from));
  v128.store(to, v128.load(from, 16), 16);
}

/** Whether 64 octets are infinity. */
function isBlank(octets: usize): bool {
  const low = v128.or(v128.load(octets), v128.load(octets, 16));
  return !v128.any_true(v128.or(low, v128.or(v128.load(octets, 32), v128.load(octets, 48))));
}

/** Whether both leaves are -1. */
function isMinusOne(tree: usize): bool {
  for (let i: usize = 0; i < 33; i++) if (load<u8>(tree + X + i) != 0xff || load<u8>(tree + Y + i) != 0xff) return false;
  return true;
}

export function pointsToTrees(trees: usize, octets: usize, n: i32): void {
  for (let i = 0; i < n; i++) {
    writeHeads(trees);
    if (isBlank(octets)) {
      memory.fill(trees + X, 0xff, 33);
      memory.fill(trees + Y, 0xff, 33);
    } else {
      store<u8>(trees + X, 0);
      copy32(trees + X + 1, octets);
      store<u8>(trees + Y, 0);
      copy32(trees + Y + 1, octets + 32);
    }
    trees += TREE; octets += OUTSIDE;
  }
}

/**
 * The reverse. Returns the index of the first tree that is neither infinity nor two leaves of a non-negative integer
 * each, not both zero; n if there is none. Whether the points are on the curve is for `checkPoints` to say.
 */
export function treesToPoints(octets: usize, trees: usize, n: i32): i32 {
  for (let i = 0; i < n; i++) {
    if (!hasHeads(trees)) return i;
    if (load<u8>(trees + X) == 0 && load<u8>(trees + Y) == 0) {
      copy32(octets, trees + X + 1);
      copy32(octets + 32, trees + Y + 1);
      if (isBlank(octets)) return i;
    } else {
      if (!isMinusOne(trees)) return i;
      memory.fill(octets, 0, OUTSIDE);
    }
    trees += TREE; octets += OUTSIDE;
  }
  return n;
}
