/** The recorded sessions of Verificatum 3.1.0, and what the tests do with them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MemoryProofFiles } from '../../lib/mixnet/directory/proof-files.ts';
import { type ProtocolInfo, readProtocolInfo } from '../../lib/mixnet/session/protocol-info.ts';

export const vectorsRoot = join(import.meta.dirname, '../data/verificatum');

export const vectorNames = readdirSync(vectorsRoot, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name)
  .sort();

export const vectorPath = (name: string, file: string): string => join(vectorsRoot, name, file);

export const vectorFile = (name: string, file: string): Uint8Array =>
  new Uint8Array(readFileSync(vectorPath(name, file)));

export const vectorText = (name: string, file: string): string =>
  readFileSync(vectorPath(name, file), 'utf8');

export const vectorInfo = (name: string): ProtocolInfo => readProtocolInfo(vectorText(name, 'protInfo.xml'));

/** A copy of the proof directory that a test may damage. */
export function vectorProof(name: string): MemoryProofFiles {
  const files = new MemoryProofFiles();
  const root = vectorPath(name, 'roProof');
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    files.write(path.slice(root.length + 1), new Uint8Array(readFileSync(path)));
  }
  return files;
}

/** Names and values of vmnv-testvectors.txt, in order; a name may occur once per party. */
export function recordedValues(name: string): [string, string][] {
  const lines = vectorText(name, 'vmnv-testvectors.txt').split('\n');
  const values: [string, string][] = [];
  lines.forEach((line, i) => {
    if (lines[i - 1] === 'TEST VECTOR') values.push([line.split(' - ')[0]!, lines[i + 1]!]);
  });
  return values;
}
