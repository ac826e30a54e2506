/**
 * The safe primes that an election may choose by name.
 *
 * 2048 bits: the built-in group of Verificatum 3.1.0 (`vog -gen ModPGroup -fixed 2048`).
 * 3072 bits: RFC 3526, group 15. Its prime is 7 modulo 8, so the RFC's generator 2 is a quadratic residue and generates
 * the subgroup of order q.
 */
import { getDiffieHellman } from 'node:crypto';
import { toBigInt } from '../octets.ts';

export interface SafePrime {
  readonly p: bigint;
  readonly g: bigint;
}

export const verificatum2048: SafePrime = {
  p: BigInt(
    '0x' +
      '912f875720cb337081b7b8f4a35fda75f480866499cfd7f3bcd1f21fc82364a3779d4e1d220152b3922b71f7bd6d049c' +
      'ff2aca6a7c5006b9a4b1dc34603c65c64c3f4c21f13e4fd0dafa545bb083afca8f9de293b7c2522d7b06c0f6d2a31372' +
      '269534b0defeeb071e1f3f930e9890ef0c67296de15bcf6b2503075361c23ad1e15918325e2b3a040914079385bf909a' +
      '85bdd50491455d57c69482f4eaa5249f0ce61fabee5996132d047889298d076c72570c515873708dc10c4211a5f8f7b8' +
      'cd72072d285a1492ce912f84779afa028ccd6337511f4cf6ac38b8bee22c84c8bf6e4d032ac113654037253d1c7db9ea' +
      '66629a6a4e3d060584dc18b1bc36544f',
  ),
  g: BigInt(
    '0x' +
      '7fde540cd562e75c87bf37ba6513220ba8e94f0f055ed50629a8a7874b7743d13b6be55c89df692c07280d7b84ec59f8' +
      '706f98c31b71d624a30265c64c6d6e03d1ad27c98c90f84b784f1499fc6ef1174b660d797c8937daaca763b1809d6b53' +
      '294926d72bb50e6750b3c5034245856f2c790d4d2aaf64d072fc4b52835767500e07238f162cae94bbc1150759ae9956' +
      '0d422fc5d763fa59eb460dce20b6609717034fcb3fe2db0accbe860e2c1e2d857621e766e6b74228da3b65abb372e95b' +
      '77f9680aec8d88eeab116401c8da09b34db71f131b626709297953fde23a8751c571f13791ec40b421272554b5257a4d' +
      '973accb80bcd0fd65b52e9667c207926',
  ),
};

export const rfc3526group15: SafePrime = {
  p: toBigInt(getDiffieHellman('modp15').getPrime()),
  g: 2n,
};
