// How elements lie in memory. One lane: nine signed limbs of 29 bits, least significant first, Montgomery form with
// R = 2^261. Four lanes ("quad"): limb k of four elements side by side in one vector. A point is affine, x then y;
// the point at infinity is 72 zero octets (x = 0 is on the curve, but with y <> 0: the stored limbs of such a point
// are never all zero).

// @ts-expect-error: decorator
@inline export const FIELD: usize = 36;
// @ts-expect-error: decorator
@inline export const POINT: usize = 72;
// @ts-expect-error: decorator
@inline export const JACOBIAN: usize = 108;
// @ts-expect-error: decorator
@inline export const QUAD: usize = 144;
// @ts-expect-error: decorator
@inline export const QUAD_POINT: usize = 288;
// @ts-expect-error: decorator
@inline export const MASK: i32 = 0x1fffffff;
