/**
 * Equations between products of powers, checked together: each equation `X_j = 1` is raised to a random 128-bit weight
 * and the product of all must be one. Since every element is in a group of prime order, an equation that does not hold
 * survives with probability at most 2^-128. The weights come from the system's randomness at the time of checking.
 */
import type { Group } from '../groups/group.ts';
import { type Elements, join, repeat, type Scalars } from '../groups/vectors.ts';

const weightBits = 128;

/** One or many equations that stand or fall together. */
export interface Equation {
  /** As the reader of a report knows it, e.g. `A` of VF 9 step 5. */
  readonly name: string;
  /** Puts the left side over the right side into the product, raised to weights it draws. */
  addTo(product: WeightedProduct): void;
}

interface Factor {
  readonly bases: Elements;
  readonly exponents: Scalars[];
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

  /** Multiplies with all `bases[i]^exponents[i]`; one exponent may serve all bases. */
  raise(bases: Elements, exponents: Scalars): void {
    add(this.#raised, bases, this.#spread(bases, exponents));
  }

  /** Divides by the same. */
  lower(bases: Elements, exponents: Scalars): void {
    const spread = this.#spread(bases, exponents);
    if (this.#group.shortExponentsPay) add(this.#lowered, bases, spread);
    else add(this.#raised, bases, this.#group.ring.negate(spread));
  }

  isOne(): boolean {
    const sides = [...this.#evaluate(this.#raised), ...this.#evaluate(this.#lowered, true)];
    return this.#group.isIdentity(this.#group.product(join(this.#group.identity(0), ...sides)), 0);
  }

  #spread(bases: Elements, exponents: Scalars): Scalars {
    if (exponents.length === bases.length) return exponents;
    if (exponents.length !== 1)
      throw new RangeError(`${exponents.length} exponents for ${bases.length} bases`);
    return repeat(exponents, bases.length);
  }

  /** Powers of similar size go into one multi-exponentiation: short exponents must not pay for long ones. */
  #evaluate(factors: Map<Uint8Array, Factor>, inverted = false): Elements[] {
    const group = this.#group;
    const classes = new Map<number, { bases: Elements[]; exponents: Scalars[] }>();
    for (const { bases, exponents } of factors.values()) {
      const sum = exponents.reduce((total, next) => group.ring.add(total, next));
      const size = Math.ceil(group.ring.maximalBits(sum) / 64);
      if (size === 0) continue;
      const found = classes.get(size) ?? { bases: [], exponents: [] };
      found.bases.push(inverted ? group.invert(bases) : bases);
      found.exponents.push(sum);
      classes.set(size, found);
    }
    return [...classes.values()].map(({ bases, exponents }) =>
      group.multiPower(join(bases[0]!, ...bases.slice(1)), join(exponents[0]!, ...exponents.slice(1))),
    );
  }
}

function add(factors: Map<Uint8Array, Factor>, bases: Elements, exponents: Scalars): void {
  const found = factors.get(bases.bytes);
  if (found === undefined) factors.set(bases.bytes, { bases, exponents: [exponents] });
  else found.exponents.push(exponents);
}

/** Names of the equations that do not hold; empty if all do. Each is looked at alone only if the batch fails. */
export function failingEquations(group: Group, equations: readonly Equation[]): string[] {
  const all = new WeightedProduct(group);
  for (const equation of equations) equation.addTo(all);
  if (all.isOne()) return [];
  const failing = equations.filter((equation) => {
    const alone = new WeightedProduct(group);
    equation.addTo(alone);
    return !alone.isOne();
  });
  // A product that is not one is never accepted, even if chance hid which equation is to blame.
  return (failing.length > 0 ? failing : equations).map((equation) => equation.name);
}
