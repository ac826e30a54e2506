// Jacobian points, one at a time, for the few additions that no batch covers: X, Y, Z of 36 octets each; infinity has
// a blank Z. Formulas: "dbl-2001-b" and "add-1998-cmo-2" of the Explicit-Formulas Database (Bernstein, Lange), for
// a = -3. Complete by case analysis, hence not constant-time: for public points only, except where a caller says so.
import { add, carry, clear, copy, invert, isBlank, isZero, negate, one, scale, sub } from "./field";
import { FIELD, JACOBIAN, POINT } from "./layout";
import { mul, sqr } from "./products";

const SCRATCH: usize = memory.data(10 * 48, 16);
// @ts-ignore: decorator
@inline const Y: usize = 36;
// @ts-ignore: decorator
@inline const Z: usize = 72;

export function isInfinite(point: usize): bool {
  return isBlank(point) && isBlank(point + FIELD);
}

export function clearJacobian(o: usize): void { memory.fill(o, 0, JACOBIAN); }

/** The affine point at `a`, or its opposite when bit 0 of the address is set. */
export function fromAffine(o: usize, a: usize): void {
  const p = a & ~1;
  if (isInfinite(p)) { clearJacobian(o); return; }
  memory.copy(o, p, POINT);
  if (a & 1) negate(o + Y, o + Y);
  one(o + Z);
}

export function toAffine(o: usize, a: usize): void {
  if (isBlank(a + Z)) { memory.fill(o, 0, POINT); return; }
  const inverse = SCRATCH, square = SCRATCH + 48, x = SCRATCH + 96, y = SCRATCH + 144;
  invert(inverse, a + Z);
  sqr(square, inverse);
  mul(x, a, square);
  mul(square, square, inverse);
  mul(y, a + Y, square);
  carry(x);
  carry(y);
  copy(o, x);
  copy(o + FIELD, y);
}

export function double(o: usize, a: usize): void {
  if (isBlank(a + Z)) { clearJacobian(o); return; }
  const delta = SCRATCH, gamma = SCRATCH + 48, beta = SCRATCH + 96, alpha = SCRATCH + 144;
  const t = SCRATCH + 192, u = SCRATCH + 240;
  sqr(delta, a + Z); sqr(gamma, a + Y); mul(beta, a, gamma);
  sub(t, a, delta); add(u, a, delta); carry(u);
  mul(alpha, t, u);
  scale(alpha, 3); // alpha = 3 (X - delta)(X + delta)
  add(t, a + Y, a + Z); carry(t); sqr(t, t); sub(t, t, gamma); sub(t, t, delta); carry(t);
  copy(o + Z, t); // Z' = (Y + Z)² - gamma - delta
  sqr(t, alpha);
  scale(beta, 2); scale(beta, 2); // 4 beta
  sub(t, t, beta); sub(t, t, beta); carry(t);
  sub(u, beta, t);
  copy(o, t); // X' = alpha² - 8 beta
  mul(u, alpha, u); sqr(gamma, gamma);
  scale(gamma, 2); scale(gamma, 2); // 4 gamma²
  sub(u, u, gamma); sub(u, u, gamma); carry(u);
  copy(o + Y, u); // Y' = alpha (4 beta - X') - 8 gamma²
}

export function addJacobian(o: usize, a: usize, b: usize): void {
  if (isBlank(a + Z)) { memory.copy(o, b, JACOBIAN); return; }
  if (isBlank(b + Z)) { memory.copy(o, a, JACOBIAN); return; }
  const z1 = SCRATCH, z2 = SCRATCH + 48, u1 = SCRATCH + 96, u2 = SCRATCH + 144, s1 = SCRATCH + 192;
  const s2 = SCRATCH + 240, h = SCRATCH + 288, r = SCRATCH + 336, t = SCRATCH + 384;
  sqr(z1, a + Z); sqr(z2, b + Z);
  mul(u1, a, z2); mul(u2, b, z1);
  mul(s1, a + Y, b + Z); mul(s1, s1, z2);
  mul(s2, b + Y, a + Z); mul(s2, s2, z1);
  sub(h, u2, u1); sub(r, s2, s1);
  if (isZero(h)) {
    if (isZero(r)) double(o, a); else clearJacobian(o);
    return;
  }
  mul(t, a + Z, b + Z); mul(o + Z, t, h);
  sqr(z1, h); mul(z2, h, z1); mul(u1, u1, z1); // h², h³, V
  sqr(t, r); sub(t, t, z2); sub(t, t, u1); sub(t, t, u1); carry(t);
  copy(o, t); // X' = r² - h³ - 2V
  sub(u1, u1, t); mul(u1, u1, r); mul(s1, s1, z2); sub(u1, u1, s1); carry(u1);
  copy(o + Y, u1); // Y' = r (V - X') - S1 h³
}
