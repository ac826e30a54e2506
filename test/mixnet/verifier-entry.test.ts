/** The package's entry for auditors: what it reaches, and that it works. */
import { readFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { expect } from 'chai';
import { verificationSections } from '../../lib/mixnet/verifier/sections.ts';
import { vectorPath, vectorText } from './vectors.ts';

const root = resolve(import.meta.dirname, '../..');

/** Everything that a module imports, directly or not. */
function reachable(entry: string): { files: Set<string>; packages: Set<string> } {
  const [files, packages] = [new Set<string>(), new Set<string>()];
  const visit = (file: string): void => {
    if (files.has(file)) return;
    files.add(file);
    const source = readFileSync(file, 'utf8');
    for (const [, named, bare, url] of source.matchAll(
      /\bfrom '([^']+)'|^import '([^']+)'|new URL\('(\.[^']+\.ts)'/gm,
    )) {
      const target = named ?? bare ?? url!;
      if (target.startsWith('.')) visit(resolve(dirname(file), target));
      else packages.add(target);
    }
  };
  visit(entry);
  return { files, packages };
}

describe('The entry conclave/verifier', () => {
  it('given all that it imports, when listed, then no node, database or network is among it', () => {
    const { exports } = JSON.parse(readFileSync(resolve(root, 'package.json'), 'utf8')) as {
      exports: Record<string, string>;
    };
    const { files, packages } = reachable(resolve(root, exports['./verifier']!));
    const folders = new Set([...files].map((file) => relative(root, file).split('/').slice(0, 2).join('/')));
    expect([...folders]).to.deep.equal(['lib/mixnet']);
    expect([...packages].sort()).to.deep.equal([
      '@noble/curves/abstract/curve.js',
      '@noble/curves/nist.js',
      'node:crypto',
      'node:fs',
      'node:path',
    ]);
  });

  it('given a recorded proof, when verified by what the entry exports, then it holds, and a damaged one does not', async () => {
    const entry = await import('conclave/verifier');
    const info = entry.readProtocolInfo(vectorText('p256-k3t2-n10', 'protInfo.xml'));
    const files = new entry.DirectoryProofFiles(vectorPath('p256-k3t2-n10', 'roProof'));
    expect(entry.verifyProofDirectory(files, info).ok).to.equal(true);
    const copy = new entry.MemoryProofFiles();
    for (const name of files.list()) copy.write(name, files.read(name));
    copy.write('Plaintexts.bt', files.read('Ciphertexts.bt'));
    expect(entry.verifyProofDirectory(copy, info).ok).to.equal(false);
  });

  it('given the specification, when read, then it describes every step of a report under the step’s number', async () => {
    const specification = readFileSync(resolve(root, 'docs/specification/verification.md'), 'utf8');
    const described = [...specification.matchAll(/^### (\d+)\. `([a-z-]+?)(?:-l)?`$/gm)].map((m) => [
      Number(m[1]),
      m[2],
    ]);
    expect(described).to.deep.equal(verificationSections.map((id, i) => [i + 1, id]));
    const { DirectoryProofFiles, readProtocolInfo, verifyProofDirectory } = await import('conclave/verifier');
    for (const vector of [
      'p256-k3t2-n10',
      'p256-k3t2-precomp-n8of12',
      'p256-k3t2-shuffle-n10',
      'p256-k3t2-decrypt-n10',
    ]) {
      const files = new DirectoryProofFiles(vectorPath(vector, 'roProof'));
      const { steps } = verifyProofDirectory(files, readProtocolInfo(vectorText(vector, 'protInfo.xml')));
      for (const { id, section } of steps)
        expect(id.replace(/-\d+$/, '')).to.equal(verificationSections[section - 1]);
      const order = steps.map(({ section }) => section);
      expect(order[0]).to.equal(1);
    }
  });
});
