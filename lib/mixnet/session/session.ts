/**
 * What all proofs of one session share: the parameters, the group, the prefix rho of every hash (VF 5), the random
 * oracles (VF 6) and the independent generators (VF 7).
 */
import { intLeaf, node, serialise, type Tree, textLeaf } from '../byte-tree/tree.ts';
import { ProductCodec, type Shape } from '../elgamal/shape.ts';
import type { Group } from '../groups/group.ts';
import { groupByDescription } from '../groups/registry.ts';
import { type Elements, type Scalars, slice } from '../groups/vectors.ts';
import {
  type HashName,
  hashLength,
  hashNameOf,
  hashOctets,
  PseudoRandomStream,
  randomOracle,
} from '../hashing/random-oracle.ts';
import { hex, toBigInt } from '../octets.ts';
import { Refusal } from '../refusal.ts';
import type { ProtocolInfo } from './protocol-info.ts';
import { Recent } from './recent.ts';

export interface SessionOptions {
  /** Separates the sessions of one key; `default` if not given. */
  readonly auxsid?: string;
  /** Overrides the width of the protocol information. */
  readonly width?: number;
}

export const auxsidPattern = /^[A-Za-z0-9_]{1,1024}$/;

/** By rho, which names group, hash function and slack. Fewer generators are the first of more. */
const recentGenerators = new Recent<Elements>(2);

export class MixSession {
  readonly info: ProtocolInfo;
  readonly auxsid: string;
  readonly group: Group;
  readonly shape: Shape;
  readonly codec: ProductCodec;
  readonly rho: Uint8Array;
  readonly #hash: HashName;
  readonly #prg: HashName;

  constructor(info: ProtocolInfo, options: SessionOptions = {}) {
    this.info = info;
    this.auxsid = options.auxsid ?? 'default';
    if (!auxsidPattern.test(this.auxsid))
      throw new Refusal('auxsid-mismatch', 'auxsid must match [A-Za-z0-9_]+');
    this.group = groupByDescription(info.pgroup);
    this.shape = { width: options.width ?? info.width, keyWidth: info.keywidth };
    this.codec = new ProductCodec(this.group, this.shape);
    this.#hash = hashNameOf(info.rohash, 'rohash');
    this.#prg = hashNameOf(info.prg, 'prg');
    this.rho = hashOctets(
      this.#hash,
      serialise(
        node(
          textLeaf(info.version),
          textLeaf(`${info.sid}.${this.auxsid}`),
          intLeaf(info.statdist),
          intLeaf(info.vbitlenro),
          intLeaf(info.ebitlenro),
          textLeaf(info.prg),
          textLeaf(info.pgroup),
          textLeaf(info.rohash),
        ),
      ),
    );
  }

  get parties(): number {
    return this.info.nopart;
  }

  get threshold(): number {
    return this.info.thres;
  }

  /** The seed of a batching vector: as many bits as the generator takes. */
  seed(statement: Tree): Uint8Array {
    return randomOracle(this.#hash, 8 * hashLength(this.#prg), this.rho, statement);
  }

  /** `e_0 … e_{n-1}` of `n_e` bits each, reduced modulo the group order. */
  batchingVector(seed: Uint8Array, count: number): Scalars {
    return this.group.ring.fromStream(new PseudoRandomStream(this.#prg, seed), count, this.info.ebitlenro);
  }

  /** The challenge v of `n_v` bits, as octets; reduce it to use it. */
  challenge(question: Tree): Uint8Array {
    return randomOracle(this.#hash, this.info.vbitlenro, this.rho, question);
  }

  challengeScalar(challenge: Uint8Array): Scalars {
    return this.group.ring.of(toBigInt(challenge));
  }

  /** `h_0 … h_{count-1}`; nobody knows their discrete logarithms. A session's next step finds them still there. */
  independentGenerators(count: number): Elements {
    const key = hex(this.rho);
    const known = recentGenerators.get(key);
    if (known !== undefined && known.length >= count) return slice(known, 0, count);
    return recentGenerators.put(key, this.#deriveGenerators(count));
  }

  #deriveGenerators(count: number): Elements {
    const seed = randomOracle(this.#hash, 8 * hashLength(this.#hash), this.rho, textLeaf('generators'));
    return this.group.derive(new PseudoRandomStream(this.#hash, seed), count, this.info.statdist);
  }

  /** `n_e + n_v + n_r` bits: nonces that hide an integer product statistically (VF 9 step 2). */
  randomNonces(count: number): Scalars {
    const { ebitlenro, vbitlenro, statdist } = this.info;
    return this.group.ring.randomBits(count, ebitlenro + vbitlenro + statdist);
  }
}
