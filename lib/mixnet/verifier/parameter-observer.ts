/** Parameters, keys and lists under the names of `vmnv -t par,der,bas,u` (VF 12). */
import { fileNames } from '../directory/file-names.ts';
import type { ProofFiles } from '../directory/proof-files.ts';
import { readElements } from '../directory/records.ts';
import type { Ciphertexts, PublicKey } from '../elgamal/ciphertexts.ts';
import type { Elements } from '../groups/vectors.ts';
import { type PolynomialInExponent, partyKey } from '../keys/polynomial-in-exponent.ts';
import { fromBigInt, hex } from '../octets.ts';
import { arrayText, ciphertextText, keyText, type Observer } from '../proofs/observer.ts';
import type { MixSession } from '../session/session.ts';

export function observeParameters(
  session: MixSession,
  key: PublicKey,
  polynomial: PolynomialInExponent | undefined,
  observe: Observer,
): void {
  const { info, group } = session;
  observe('par.k', String(info.nopart));
  observe('par.lambda', String(info.thres));
  observe('par.n_e', String(info.ebitlenro));
  observe('par.n_r', String(info.statdist));
  observe('par.n_v', String(info.vbitlenro));
  observe('par.s_PRG', info.prg);
  observe('par.s_Gq', info.pgroup);
  observe('par.s_H', info.rohash);
  observe('par.version', info.version);
  observe('par.omega', String(session.shape.width));
  observe('par.sid', info.sid);
  const generators = key.y.map(() => group.generator);
  observe('bas.pk', `(${keyText(group, generators)},${keyText(group, key.y)})`);
  if (polynomial !== undefined) {
    const keys = Array.from({ length: session.threshold }, (_, i) => partyKey(group, polynomial, i + 1));
    observe('bas.y_l', `(${keys.map((parts) => keyText(group, parts)).join(',')})`);
  }
  observe('der.rho', hex(session.rho));
  observeSpaces(session, observe);
}

function observeSpaces(session: MixSession, observe: Observer): void {
  const { width, keyWidth } = session.shape;
  const product = (name: string, part: string, count: number): string =>
    count === 1 ? part : `${name}(${Array.from({ length: count }, () => part).join(',')})`;
  const space = (name: string, part: string): string => product(name, product(name, part, keyWidth), width);
  const plaintexts = space('PPGroup', session.group.tracedName);
  const { order, width: octets } = session.group.ring;
  observe('bas.M_omega', plaintexts);
  observe('bas.C_omega', `PPGroup(${plaintexts},${plaintexts})`);
  observe('bas.R_omega', space('PPRing', hex(fromBigInt(order, octets))));
}

export function observeList(
  session: MixSession,
  party: number,
  list: Ciphertexts,
  observe: Observer | undefined,
): void {
  observe?.(`bas.L_${party}`, ciphertextText(session.codec, list, true));
}

export function observeGenerators(
  session: MixSession,
  h: Elements,
  precomputed: boolean,
  observe: Observer | undefined,
): void {
  if (precomputed) observe?.('par.N_0', String(h.length));
  observe?.('bas.h', arrayText(session.group, h));
}

export function observeCommitment(
  session: MixSession,
  files: ProofFiles,
  party: number,
  count: number,
  output: Ciphertexts,
  observe: Observer | undefined,
): void {
  if (observe === undefined) return;
  const u = readElements(session, files, fileNames.permutationCommitment(party), count);
  observe('u', arrayText(session.group, u));
  observeList(session, party, output, observe);
}
