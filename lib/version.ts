/** The version of this software, as peers, metrics and `--version` show it. */
import { readFileSync } from 'node:fs';

/** `package.json` lies one folder above the sources, and above `dist/` two. */
function read(): string {
  for (const path of ['../package.json', '../../package.json']) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'));
      if (name === 'conclave') return String(version);
    } catch {
      // Not there: try the next.
    }
  }
  return 'unknown';
}

export const VERSION = read();
