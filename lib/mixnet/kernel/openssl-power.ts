/**
 * Powers with a secret exponent modulo a prime, by OpenSSL's Diffie-Hellman: native speed, constant time in the
 * exponent (`BN_mod_exp_mont_consttime`). Making one takes a quarter of a second for a prime that OpenSSL does not know
 * by name; keep it.
 */
import { createDiffieHellman, type DiffieHellman } from 'node:crypto';

export class OpensslPower {
  readonly #prime: Uint8Array;
  readonly #last: Uint8Array;
  readonly #exchange: DiffieHellman;

  constructor(prime: Uint8Array) {
    // copies: `slice` of a Buffer would be none
    this.#prime = new Uint8Array(prime);
    this.#last = new Uint8Array(prime);
    this.#last[prime.length - 1]! -= 1;
    this.#exchange = createDiffieHellman(this.#prime, 2);
  }

  /** `base^exponent` into `out`, for each base; all have the prime's length. Bases are between 1 and p - 1. */
  powers(bases: Uint8Array, exponent: Uint8Array, out: Uint8Array): void {
    const width = this.#prime.length;
    const zero = exponent.every((octet) => octet === 0);
    if (!zero) this.#exchange.setPrivateKey(exponent);
    for (let at = 0; at < bases.length; at += width) {
      const base = bases.subarray(at, at + width);
      // the exchange refuses 1 and p - 1, whose powers need no computation
      if (zero || isOne(base)) out[at + width - 1] = 1;
      else if (Buffer.compare(base, this.#last) === 0) {
        if ((exponent.at(-1)! & 1) === 1) out.set(base, at);
        else out[at + width - 1] = 1;
      } else {
        const power = this.#exchange.computeSecret(base);
        out.set(power, at + width - power.length);
      }
    }
  }

  /** Takes the exponent out of the object again. */
  forget(): void {
    this.#exchange.setPrivateKey(Uint8Array.of(1));
  }
}

function isOne(base: Uint8Array): boolean {
  return base.every((octet, i) => octet === (i === base.length - 1 ? 1 : 0));
}
