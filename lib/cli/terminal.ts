/**
 * Where commands write, and how: results to standard output, everything else to standard error, colours and moving bars
 * only where a person looks at a terminal.
 */
import { stripVTControlCharacters, styleText } from 'node:util';

export type Style = Parameters<typeof styleText>[0];

export interface Terminal {
  /** The result of a command: one line, or several. */
  out(text: string): void;
  /** What a person should know beside it. */
  note(text: string): void;
  /** Colours a text for `out`; unchanged where nobody would see it. */
  paint(style: Style, text: string): string;
  /** Whether bars may move on standard error. */
  readonly interactive: boolean;
  /** Width of the terminal to which results go, where it is one. */
  readonly columns?: number | undefined;
  readonly environment: NodeJS.ProcessEnv;
}

export function processTerminal(): Terminal {
  const { stdout, stderr, env } = process;
  // Whoever reads the result may have seen enough: `conclave elections | head`.
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  return {
    out: (text) => void stdout.write(`${text}\n`),
    note: (text) => void stderr.write(`${text}\n`),
    paint: (style, text) =>
      hasColours(stdout, env) ? styleText(style, text, { validateStream: false }) : text,
    interactive: stderr.isTTY === true && env.CI === undefined && env.TERM !== 'dumb',
    columns: stdout.isTTY === true ? stdout.columns : undefined,
    environment: env,
  };
}

/** https://no-color.org */
function hasColours(stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv): boolean {
  return stream.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb';
}

/** For people: text of others cannot move the cursor or pretend to be ours. */
export function harmless(text: string): string {
  return stripVTControlCharacters(text).replace(/[\p{Cc}\p{Bidi_Control}]/gu, (character) =>
    character === '\n' || character === '\t' ? character : '�',
  );
}
