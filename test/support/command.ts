/* Runs a command of the command line in this process, and keeps what it writes. */
import { main } from '../../lib/cli/main.ts';

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly notes: string;
}

export async function command(...args: readonly string[]): Promise<Ran> {
  return await commandWith({}, ...args);
}

export async function commandWith(environment: NodeJS.ProcessEnv, ...args: readonly string[]): Promise<Ran> {
  const [out, notes]: [string[], string[]] = [[], []];
  const code = await main(args, {
    out: (text) => void out.push(`${text}\n`),
    note: (text) => void notes.push(`${text}\n`),
    paint: (_style, text) => text,
    interactive: false,
    environment,
  });
  return { code, out: out.join(''), notes: notes.join('') };
}
