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

describe("the console's sources", () => {
  it('given a message in English, then Spanish has it with the same placeholders', () => {
    expect(Object.keys(es).sort()).to.deep.equal(Object.keys(en).sort());
    for (const [key, message] of Object.entries(en))
      expect(placeholders(es[key as keyof typeof es]), key).to.deep.equal(placeholders(message));
  });

  it('given what strangers write, then no source makes HTML of text', () => {
    const files = globSync('**/*.{ts,tsx}', { cwd: WEB });
    expect(files.length).to.be.greaterThan(30);
    for (const file of files)
      expect(readFileSync(new URL(file, WEB), 'utf8'), file).not.to.match(
        /dangerouslySetInnerHTML|innerHTML|outerHTML|insertAdjacentHTML|document\.write/,
      );
  });
});
