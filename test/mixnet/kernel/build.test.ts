import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { compileModule, moduleNames } from '../../../lib/mixnet/kernel/build/compile.ts';

describe('kernel modules', () => {
  for (const name of moduleNames) {
    it(`given the sources of ${name}, compile to the committed octets`, async () => {
      const committed = readFileSync(new URL(`../../../lib/mixnet/kernel/${name}.wasm`, import.meta.url));
      const built = Buffer.from(await compileModule(name));
      expect(
        built.equals(committed),
        `${name}.wasm is stale: node lib/mixnet/kernel/build/build.ts`,
      ).to.equal(true);
    });
  }
});
