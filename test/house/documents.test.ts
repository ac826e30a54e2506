/* What the documents point at is there: files that links lead to, headings, and sources that are named by their path. */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const DOCUMENTS = globSync(['*.md', 'docs/**/*.md', 'examples/**/*.md'], { cwd: ROOT });
const SOURCE = /`((?:bin|lib|tasks|migrations|examples|test|bench|scripts|docs)\/[\w./-]+)`/g;
const LINK = /\[[^\]]*\]\(([^)\s]+)\)/g;

describe('documents', () => {
  for (const document of DOCUMENTS) {
    const text = readFileSync(join(ROOT, document), 'utf8').replace(/^```[\s\S]*?^```/gm, '');

    it(`given ${document}, when its links are followed, then each leads somewhere`, () => {
      const links = [...text.matchAll(LINK)]
        .map(([, link]) => link!)
        .filter((link) => !/^[a-z]+:/.test(link));
      expect(links.filter((link) => !leadsSomewhere(document, link))).to.deep.equal([]);
    });

    it(`given ${document}, when it names files of the repository, then they are there`, () => {
      const named = [...text.matchAll(SOURCE)].map(([, path]) => path!);
      expect(named.filter((path) => !existsSync(join(ROOT, path)))).to.deep.equal([]);
    });
  }
});

function leadsSomewhere(document: string, link: string): boolean {
  const [path, anchor] = link.split('#');
  const target = path === '' ? join(ROOT, document) : join(ROOT, dirname(document), decodeURI(path!));
  if (!existsSync(target)) return false;
  return anchor === undefined || anchors(target).includes(anchor);
}

/** The anchors of headings, as they are made where documents are shown. */
function anchors(file: string): string[] {
  const headings = readFileSync(file, 'utf8').matchAll(/^#{1,6} +(.+)$/gm);
  return [...headings].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replaceAll(' ', '-'),
  );
}
