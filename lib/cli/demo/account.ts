/**
 * Tells what happens, as it happens: one sentence for each thing that a participant does, and a bar for long steps where a
 * person looks at a terminal. With `--json` the account goes to standard error.
 */
import { Presets, SingleBar } from 'cli-progress';
import { harmless, type Terminal } from '../terminal.ts';

export class Account {
  readonly #terminal: Terminal;
  readonly #json: boolean;
  readonly #started = performance.now();
  #bar: SingleBar | null = null;

  constructor(terminal: Terminal, json: boolean) {
    this.#terminal = terminal;
    this.#json = json;
  }

  /** A heading, with the time since the beginning. */
  chapter(text: string): void {
    this.#endBar();
    const seconds = ((performance.now() - this.#started) / 1000).toFixed(1).padStart(5);
    this.#print(`${this.#terminal.paint('bold', `${seconds} s  ${text}`)}`);
  }

  line(text: string): void {
    const bar = this.#bar;
    if (bar !== null) this.#endBar();
    for (const each of harmless(text).split('\n')) this.#print(`         ${each}`);
  }

  /** `done` of 1; nothing where bars cannot move. */
  progress(text: string, done: number): void {
    if (!this.#terminal.interactive || this.#json) return;
    if (this.#bar === null) {
      const format = '         {bar} {percentage}% {text}';
      this.#bar = new SingleBar(
        { format, hideCursor: true, clearOnComplete: true, barsize: 30 },
        Presets.shades_classic,
      );
      this.#bar.start(100, 0, { text: '' });
    }
    this.#bar.update(Math.round(Math.min(1, Math.max(0, done)) * 100), { text: harmless(text) });
  }

  end(): void {
    this.#endBar();
  }

  #endBar(): void {
    this.#bar?.stop();
    this.#bar = null;
  }

  #print(text: string): void {
    if (this.#json) this.#terminal.note(text);
    else this.#terminal.out(text);
  }
}
