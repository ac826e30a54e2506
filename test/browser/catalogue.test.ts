import { globSync, readFileSync } from 'node:fs';
import { expect } from 'chai';
import { en } from '../../lib/console/web/catalogue/en.ts';
import { es } from '../../lib/console/web/catalogue/es.ts';
import type { Message } from '../../lib/console/web/catalogue/message.ts';

const WEB = new URL('../../lib/console/web/', import.meta.url);

function placeholders(message: Message): string[] {
  const text = typeof message === 'string' ? message : `${message.one}${message.other}`;
  return [...new Set(text.match(/\{\w+\}/g) ?? [])].sort();
}

function sources(): [file: string, text: string][] {
  const files = globSync('**/*.{ts,tsx}', { cwd: WEB });
  return files.map((file) => [file, readFileSync(new URL(file, WEB), 'utf8')]);
}

/** Texts in quotes that may be keys; of templates, what stands between their holes. */
function patternsIn(text: string): RegExp[] {
  const literals = [...text.matchAll(/'([a-z_]+(?:\.[a-z_]+)*)'/g)].map(([, key]) => key!);
  const templates = [...text.matchAll(/`([a-z_]+\.(?:[a-z_.]|\$\{[^}`]+\})*)`/g)].map(([, key]) => key!);
  return [...literals, ...templates].map(
    (key) =>
      new RegExp(
        `^${key
          .split(/\$\{[^}]+\}/)
          .map((part) => part.replaceAll('.', '\\.'))
          .join('\\w+')}$`,
      ),
  );
}

describe("the console's sources", () => {
  it('given a message in English, then Spanish has it with the same placeholders', () => {
    expect(Object.keys(es).sort()).to.deep.equal(Object.keys(en).sort());
    for (const [key, message] of Object.entries(en))
      expect(placeholders(es[key as keyof typeof es]), key).to.deep.equal(placeholders(message));
  });

  it('given the keys that the sources name, whole or in part, then all exist, and none is there that no source names', () => {
    const keys = Object.keys(en);
    const used = new Set<string>();
    for (const [file, text] of sources()) {
      if (file.startsWith('catalogue/e')) continue;
      for (const pattern of patternsIn(text)) {
        const named = keys.filter((key) => pattern.test(key));
        for (const key of named) used.add(key);
      }
      for (const [, key] of text.matchAll(/\bt\(\s*'([^']+)'/g)) expect(keys, file).to.include(key);
    }
    expect(keys.filter((key) => !used.has(key))).to.deep.equal([]);
  });

  it('given what strangers write, then no source makes HTML of text', () => {
    expect(sources().length).to.be.greaterThan(30);
    for (const [file, text] of sources())
      expect(text, file).not.to.match(
        /dangerouslySetInnerHTML|innerHTML|outerHTML|insertAdjacentHTML|document\.write/,
      );
  });
});
