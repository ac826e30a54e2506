/* `conclave verify` on a session that Verificatum recorded: its machine-readable form, and the intermediate values. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { command } from '../support/command.ts';

const folder = new URL('../data/verificatum/p256-k3t2-n10/', import.meta.url);
const proof = new URL('roProof', folder).pathname;
const protInfo = new URL('protInfo.xml', folder).pathname;

describe('conclave verify of a recorded proof directory', () => {
  it('given --json, then one object {valid, steps: [{id, title, ok}], seconds}', async () => {
    const { code, out } = await command('verify', proof, '--prot-info', protInfo, '--json');
    const { valid, steps, seconds } = JSON.parse(out);
    expect([code, valid]).to.deep.equal([0, true]);
    expect(seconds).to.be.a('number').greaterThan(0);
    expect(steps.map((step: object) => Object.keys(step).join())).to.satisfy((keys: string[]) =>
      keys.every((key) => key === 'id,title,ok'),
    );
  });

  it('given another session’s protInfo.xml, then invalid, and the step that fails gives its reason', async () => {
    const other = new URL('../p256-k3t2-shuffle-n10/protInfo.xml', folder).pathname;
    const changed = (await readFile(other, 'utf8')).replace(/<statdist>100</, '<statdist>50<');
    const made = await mkdtemp(join(tmpdir(), 'conclave-verify-'));
    try {
      await writeFile(`${made}/protInfo.xml`, changed);
      const { code, out } = await command('verify', proof, '--prot-info', `${made}/protInfo.xml`, '--json');
      const failed = JSON.parse(out).steps.find(({ ok }: { ok: boolean }) => !ok);
      expect([code, typeof failed.reason]).to.deep.equal([1, 'string']);
    } finally {
      await rm(made, { recursive: true });
    }
  });

  it('given --test-vectors, then the values that Verificatum’s own verifier printed', async () => {
    const recorded = await readFile(new URL('vmnv-testvectors.txt', folder), 'utf8');
    const rho = /^der\.rho .*\n([0-9a-f]+)$/m.exec(recorded)![1];
    const { code, out } = await command('verify', proof, '--prot-info', protInfo, '--test-vectors');
    expect(code).to.equal(0);
    expect(out).to.contain(`der.rho = ${rho}`);
    expect(out).to.match(/^par\.k = 3$/m);
  });
});
