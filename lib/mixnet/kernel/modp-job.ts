/**
 * What the kernel can be asked about the multiplicative group modulo a prime, as plain data (see p256-job.ts). Elements
 * have as many octets as the prime, exponents `exponentOctets`, all big-endian.
 */
import type { Operand } from './p256-job.ts';

/** One base's table; `octets` is as the kernel laid it out. */
export type ModpTable = Readonly<{ id: number; width: number; windows: number; octets: Uint8Array }>;

export type ModpJob = Readonly<{ prime: Uint8Array }> &
  (
    | Readonly<{ op: 'modpMultiply'; a: Operand; b: Operand; out: Uint8Array }>
    /** The product of each unit's elements. */
    | Readonly<{ op: 'modpProduct'; elements: Uint8Array; out: Uint8Array }>
    | Readonly<{
        op: 'modpFixedBase';
        table: ModpTable;
        exponents: Uint8Array;
        exponentOctets: number;
        out: Uint8Array;
      }>
    | Readonly<{
        op: 'modpMultiPower';
        bases: Uint8Array;
        exponents: Uint8Array;
        exponentOctets: number;
        bits: number;
        width: number;
        /** Terms of a unit. */
        chunk: number;
        /** One partial product for each unit. */
        out: Uint8Array;
      }>
    | Readonly<{
        op: 'modpPower';
        bases: Uint8Array;
        exponents: Operand;
        exponentOctets: number;
        out: Uint8Array;
      }>
    /** `firstBad`: for each unit the index in the whole list of the first bad element, or -1. */
    | Readonly<{ op: 'modpCheck'; elements: Uint8Array; firstBad: Int32Array }>
  );

/** Elements of a unit, which takes 20 to 100 ms. */
export const MODP_UNIT = {
  modpMultiply: 1024,
  modpProduct: 4096,
  modpFixedBase: 32,
  modpPower: 8,
  modpCheck: 256,
} as const satisfies Record<Exclude<ModpJob['op'], 'modpMultiPower'>, number>;

/** Elements of a unit of this job, and in all. */
export function modpExtent(job: ModpJob): { unit: number; count: number } {
  const octets = job.prime.length;
  switch (job.op) {
    case 'modpMultiPower':
      return { unit: job.chunk, count: job.bases.length / octets };
    case 'modpMultiply':
    case 'modpFixedBase':
    case 'modpPower':
      return { unit: MODP_UNIT[job.op], count: job.out.length / octets };
    case 'modpProduct':
    case 'modpCheck':
      return { unit: MODP_UNIT[job.op], count: job.elements.length / octets };
  }
}

export function modpUnitCount(job: ModpJob): number {
  const { unit, count } = modpExtent(job);
  return Math.ceil(count / unit);
}
