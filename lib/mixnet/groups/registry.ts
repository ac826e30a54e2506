/** Finds the group that a name, a `pgroup` string or a marshalled byte tree speaks of; the only place that knows all. */
import { checkPrimeSync } from 'node:crypto';
import { type ByteTreeReader, readWhole } from '../byte-tree/reader.ts';
import { serialise } from '../byte-tree/tree.ts';
import type { Executor } from '../kernel/executor.ts';
import { genericRing } from '../kernel/generic-ring.ts';
import { P256Kernel } from '../kernel/p256-kernel.ts';
import { bitLength, equalOctets, fromBigInt, fromHex, toBigInt } from '../octets.ts';
import { Refusal } from '../refusal.ts';
import { rfc3526group15, verificatum2048 } from './fixed-moduli.ts';
import type { Group } from './group.ts';
import { KernelScalarRing } from './kernel-scalar-ring.ts';
import { ModpGroup } from './modp.ts';
import { largestKernelModulus, ModpKernelGroup } from './modp-kernel-group.ts';
import { P256KernelGroup } from './p256-kernel-group.ts';

export const groupNames = ['P-256', 'modp-2048', 'modp-3072'] as const;

const known = new Map<string, Group>();
let executor: Executor | undefined;
const bounds = { smallest: 2048, largest: 4096, descriptionLength: 20_000 };

/** A group that elections may choose (D41). */
export function groupByName(name: string): Group {
  switch (name) {
    case 'P-256':
      return kept(name, () => new P256KernelGroup(new P256Kernel(executor)));
    case 'modp-2048':
      return modpGroup(verificatum2048.p, verificatum2048.g);
    case 'modp-3072':
      return modpGroup(rfc3526group15.p, rfc3526group15.g);
    default:
      throw new Refusal(
        'group-unsupported',
        `unknown group "${name}": choose one of ${groupNames.join(', ')}`,
      );
  }
}

/** The group of a `pgroup` value. Its human text is free, its hex must be the canonical description (VF 3.1). */
export function groupByDescription(description: string): Group {
  if (description.length > bounds.descriptionLength) {
    throw new Refusal('group-description-invalid', 'the group description is too long');
  }
  const bytes = fromHex(description.slice(description.lastIndexOf('::') + 2));
  if (bytes === null || !description.includes('::')) {
    throw new Refusal('group-description-invalid', 'a group description ends in "::" and hex octets');
  }
  return groupByMarshalled(bytes);
}

export function groupByMarshalled(bytes: Uint8Array): Group {
  const group = readWhole(bytes, 'group description', readGroup);
  if (!equalOctets(serialise(group.marshalled), bytes)) {
    throw new Refusal('group-description-invalid', 'the group description is not in canonical form');
  }
  return group;
}

/** Reads `marshal(group)`; canonical form is the caller's to check. */
export function readGroup(reader: ByteTreeReader): Group {
  reader.node(2);
  const className = reader.text(200);
  if (className === 'com.verificatum.arithm.ECqPGroup') {
    const curve = reader.text(100);
    if (curve !== 'P-256')
      throw new Refusal('group-unsupported', `the curve "${curve}" is not supported, P-256 is`);
    return groupByName('P-256');
  }
  if (className !== 'com.verificatum.arithm.ModPGroup') {
    throw new Refusal('group-unsupported', `groups of class "${className}" are not supported`);
  }
  reader.node(4);
  const [p, q, g] = [toBigInt(reader.leaf()), toBigInt(reader.leaf()), toBigInt(reader.leaf())];
  if (reader.int() !== 1)
    throw new Refusal('group-unsupported', 'only groups modulo a safe prime are supported');
  if (q !== (p - 1n) / 2n) throw new Refusal('group-description-invalid', 'the order is not (p - 1) / 2');
  return modpGroup(p, g);
}

/** The quadratic residues modulo `p`; `p` is proven a safe prime (to a probability of 2^-128) once per process. */
export function modpGroup(p: bigint, g: bigint): Group {
  return kept(`${p}/${g}`, () => {
    const bits = bitLength(p);
    if (bits < bounds.smallest || bits > bounds.largest) {
      throw new Refusal(
        'group-unsupported',
        `a modulus of ${bits} bits; supported are ${bounds.smallest} to ${bounds.largest}`,
      );
    }
    const builtIn = [verificatum2048, rfc3526group15].some((prime) => prime.p === p);
    if (!builtIn && !(p % 2n === 1n && checkPrimeSync(p) && checkPrimeSync((p - 1n) / 2n))) {
      throw new Refusal('group-description-invalid', 'the modulus is not a safe prime');
    }
    const q = (p - 1n) / 2n;
    const ring = new KernelScalarRing(q, genericRing(fromBigInt(q, Math.ceil(bitLength(q) / 8))));
    if (bits > largestKernelModulus) return new ModpGroup(p, g, ring);
    return new ModpKernelGroup(p, g, ring, executor);
  });
}

/** Groups made from now on are computed by this executor, e.g. a pool of threads. */
export function useExecutor(shared: Executor): void {
  executor = shared;
  known.clear();
}

function kept(key: string, make: () => Group): Group {
  let group = known.get(key);
  if (group === undefined) {
    group = make();
    if (known.size >= 16) known.delete(known.keys().next().value!);
    known.set(key, group);
  }
  return group;
}
