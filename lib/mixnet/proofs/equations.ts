/**
 * Equations between products of powers, checked together: each equation `X_j = 1` is raised to a random 128-bit weight
 * and the product of all must be one. Since every element is in a group of prime order, an equation that does not hold
 * survives with probability at most 2^-128. The weights come from the system's randomness at the time of checking.
 */
import type { Group } from '../groups/group.ts';
import { type Elements, join, repeat, type Scalars, slice } from '../groups/vectors.ts';
import type { Refusal } from '../refusal.ts';

const weightBits = 128;
/** Terms of one multi-exponentiation: more do not make a term cheaper, and they are copied. */
const termsAtATime = 2 ** 18;

/** One or many equations that stand or fall together. */
export interface Equation {
  /** As the reader of a report knows it, e.g. `A` of VF 9 step 5. */
  readonly name: string;
  /** Puts the left side over the right side into the product, raised to weights it draws. */
  addTo(product: WeightedProduct): void;
}

/** A statement that holds if all its equations do. */
export interface Claim {
  readonly equations: readonly Equation[];
  /** Why it is refused, given the names of the equations that do not hold. */
  refusal(failing: readonly string[]): Refusal;
}

interface Factor {
  readonly bases: Elements;
  exponents: Scalars;
}

/** A product of powers under construction. Exponents of the same vector of bases are added up. */
export class WeightedProduct {
  readonly #group: Group;
  readonly #raised = new Map<Uint8Array, Factor>();
  readonly #lowered = new Map<Uint8Array, Factor>();

  constructor(group: Group) {
    this.#group = group;
  }

  /** Fresh random weights. */
  weights(count = 1): Scalars {
    return this.#group.ring.randomBits(count, weightBits);
  }

  /** Multiplies with all `bases[i]^exponents[i]`, the exponents times `weight` if it is given. */
  raise(bases: Elements, exponents: Scalars, weight?: Scalars): void {
    this.#add(this.#raised, bases, exponents, weight);
  }

  /** Divides by the same. */
  lower(bases: Elements, exponents: Scalars, weight?: Scalars): void {
    const { ring, shortExponentsPay } = this.#group;
    if (shortExponentsPay) this.#add(this.#lowered, bases, exponents, weight);
    else this.#add(this.#raised, bases, exponents, ring.negate(weight ?? ring.of(1n)));
  }

  isOne(): boolean {
    const product = this.#group.multiply(
      this.#evaluate(this.#raised),
      this.#group.invert(this.#evaluate(this.#lowered)),
    );
    return this.#group.isIdentity(product, 0);
  }

  #add(factors: Map<Uint8Array, Factor>, bases: Elements, exponents: Scalars, weight?: Scalars): void {
    const { ring } = this.#group;
    const found = factors.get(bases.bytes);
    if (exponents.length !== bases.length && exponents.length !== 1)
      throw new RangeError(`${exponents.length} exponents for ${bases.length} bases`);
    if (found === undefined) {
      const scaled = weight === undefined ? exponents : ring.multiply(exponents, weight);
      const spread = scaled.length === bases.length ? scaled : repeat(scaled, bases.length);
      factors.set(bases.bytes, { bases, exponents: spread });
    } else if (weight === undefined) found.exponents = ring.add(exponents, found.exponents);
    else found.exponents = ring.multiplyAdd(exponents, weight, found.exponents);
  }

  /** Powers of similar size go into one multi-exponentiation: short exponents must not pay for long ones. */
  #evaluate(factors: ReadonlyMap<Uint8Array, Factor>): Elements {
    const group = this.#group;
    const classes = new Map<number, Factor[]>();
    for (const factor of factors.values()) {
      const size = Math.ceil(group.ring.maximalBits(factor.exponents) / 64);
      if (size === 0) continue;
      const found = classes.get(size);
      if (found === undefined) classes.set(size, [factor]);
      else found.push(factor);
    }
    const parts = [...classes.values()].flatMap((all) =>
      batches(all).map(({ bases, exponents }) => group.multiPower(bases(), exponents())),
    );
    return group.product(join(group.identity(0), ...parts));
  }
}

/** Pieces of the factors' lists, so that each has enough terms but memory does not grow with the lists. */
function batches(factors: readonly Factor[]): { bases: () => Elements; exponents: () => Scalars }[] {
  const pieces: Factor[][] = [[]];
  let room = termsAtATime;
  for (const { bases, exponents } of factors) {
    for (let from = 0; from < bases.length; ) {
      const to = Math.min(bases.length, from + room);
      pieces.at(-1)!.push({ bases: slice(bases, from, to), exponents: slice(exponents, from, to) });
      room -= to - from;
      from = to;
      if (room > 0) continue;
      pieces.push([]);
      room = termsAtATime;
    }
  }
  return pieces
    .filter((piece) => piece.length > 0)
    .map((piece) => ({
      bases: () => joined(piece.map(({ bases }) => bases)),
      exponents: () => joined(piece.map(({ exponents }) => exponents)),
    }));
}

function joined<V extends Elements | Scalars>(parts: readonly V[]): V {
  const [first, ...rest] = parts as readonly Elements[];
  return (rest.length === 0 ? first : join(first!, ...rest)) as V;
}

/** Do all equations hold? */
export function allHold(group: Group, equations: readonly Equation[]): boolean {
  const product = new WeightedProduct(group);
  for (const equation of equations) equation.addTo(product);
  return product.isOne();
}

/** Names of the equations that do not hold; empty if all do. Each is looked at alone only if the batch fails. */
export function failingEquations(group: Group, equations: readonly Equation[]): string[] {
  if (allHold(group, equations)) return [];
  const failing = equations.filter((equation) => !allHold(group, [equation]));
  // A product that is not one is never accepted, even if chance hid which equation is to blame.
  return (failing.length > 0 ? failing : equations).map((equation) => equation.name);
}

/** Throws the claim's refusal if one of its equations does not hold. */
export function establish(group: Group, claim: Claim): void {
  const failing = failingEquations(group, claim.equations);
  if (failing.length > 0) throw claim.refusal([...new Set(failing)]);
}
