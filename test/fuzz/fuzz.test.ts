import { randomInt } from 'node:crypto';
import { expect } from 'chai';
import { fuzz } from './target.ts';
import { targets } from './targets.ts';

const RUNS = 300;

describe('parsers of what others write, fuzzed', function () {
  this.timeout(30_000);

  for (const target of targets) {
    it(`given any ${target.name}, when it is read, then it is accepted or refused with its documented error, in bounded time and memory`, async () => {
      const runs = Math.max(10, Math.round(RUNS / (target.cost ?? 1)));
      expect(await fuzz(target, { seed: randomInt(2 ** 31), runs })).to.equal(runs);
    });
  }
});
