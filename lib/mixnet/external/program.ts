/**
 * Runs one program of somebody else's mix-net to its end: no shell, output bounded, a limit in wall time, and killed when
 * it prints a line after which it is known to hang.
 *
 * The program gets a process group of its own, so that what it starts (a script starts Java) ends with it, and nothing
 * else does: never is a process looked for by name. Nothing is read from its standard input, and of our environment it
 * gets only what finding and running programs needs.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { StringDecoder } from 'node:string_decoder';

export type ProgramFailure = 'not-started' | 'exit' | 'fatal-line' | 'timeout' | 'aborted' | 'no-success';

/** `tail`: the last lines that the program printed. */
export class ExternalProgramError extends Error {
  readonly program: string;
  readonly failure: ProgramFailure;
  readonly tail: string;

  constructor(program: string, failure: ProgramFailure, what: string, tail: string) {
    super(`${program} ${what}`);
    this.name = 'ExternalProgramError';
    this.program = program;
    this.failure = failure;
    this.tail = tail;
  }
}

export interface ProgramRun {
  /** As messages call it. */
  readonly name: string;
  /** A path, or a name that is looked for in PATH. */
  readonly path: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly timeoutSeconds: number;
  /** A line that contains one of these means that the program will not end well, or not at all. */
  readonly fatal?: readonly string[];
  /** One of these must be in the output. */
  readonly success?: readonly string[];
  readonly signal?: AbortSignal;
  readonly onLine?: (line: string) => void;
}

/** Characters of output that are kept; a longer line is cut there. */
const keptOutput = 65_536;
const longestLine = 4_096;
/** From the request to end to the order. */
const graceMilliseconds = 2_000;
const passedOn = ['PATH', 'HOME', 'LANG', 'LC_ALL', 'TMPDIR', 'JAVA_HOME', 'CLASSPATH', 'LD_LIBRARY_PATH'];

/** Resolves to the end of the output. @throws ExternalProgramError */
export function runProgram(run: ProgramRun): Promise<string> {
  return new RunningProgram(run).done;
}

class RunningProgram {
  readonly done: Promise<string>;
  readonly #run: ProgramRun;
  readonly #child: ChildProcess;
  readonly #output = new Output();
  readonly #settle: PromiseWithResolvers<string>;
  readonly #timeout: NodeJS.Timeout;
  readonly #abort = (): void => this.#fail('aborted', 'was aborted');
  #succeeded: boolean;
  #failure: ExternalProgramError | undefined;
  #order: NodeJS.Timeout | undefined;

  constructor(run: ProgramRun) {
    run.signal?.throwIfAborted();
    this.#run = run;
    this.#succeeded = run.success === undefined;
    this.#settle = Promise.withResolvers<string>();
    this.done = this.#settle.promise;
    this.#child = spawn(run.path, run.args, {
      cwd: run.cwd,
      detached: true,
      env: Object.fromEntries(
        passedOn.flatMap((name) => (name in process.env ? [[name, process.env[name]]] : [])),
      ),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child.once('error', (error) =>
      this.#end(this.#failed('not-started', `cannot be run: ${error.message}`)),
    );
    this.#child.once('close', (code, signal) => this.#closed(code, signal));
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) this.#listen(stream);
    this.#timeout = setTimeout(
      () => this.#fail('timeout', `did not end within ${run.timeoutSeconds} s`),
      1000 * run.timeoutSeconds,
    );
    run.signal?.addEventListener('abort', this.#abort, { once: true });
  }

  #listen(stream: NodeJS.ReadableStream): void {
    const lines = new Lines((line) => this.#line(line));
    stream.on('data', (piece: Buffer) => lines.write(piece));
    stream.on('end', () => lines.end());
  }

  #line(line: string): void {
    this.#output.add(line);
    if (this.#run.success?.some((text) => line.includes(text))) this.#succeeded = true;
    const fatal = this.#run.fatal?.find((text) => line.includes(text));
    if (fatal !== undefined) this.#fail('fatal-line', `printed "${fatal}"`);
    this.#run.onLine?.(line);
  }

  #failed(failure: ProgramFailure, what: string): ExternalProgramError {
    return new ExternalProgramError(this.#run.name, failure, what, this.#output.tail);
  }

  /** The first failure counts; the program is asked to end, then ordered to. */
  #fail(failure: ProgramFailure, what: string): void {
    if (this.#failure !== undefined) return;
    this.#failure = this.#failed(failure, what);
    this.#signal('SIGTERM');
    this.#order = setTimeout(() => {
      this.#signal('SIGKILL');
      // What left the group may still hold the other ends; we are not waiting for it.
      this.#child.stdout?.destroy();
      this.#child.stderr?.destroy();
    }, graceMilliseconds);
  }

  #signal(signal: NodeJS.Signals): void {
    const { pid } = this.#child;
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch (error) {
      // It ended in the meantime.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }

  #closed(code: number | null, signal: NodeJS.Signals | null): void {
    if (this.#failure !== undefined) this.#end(this.#failure);
    else if (code !== 0)
      this.#end(this.#failed('exit', `ended with ${code === null ? signal : `code ${code}`}`));
    else if (!this.#succeeded)
      this.#end(this.#failed('no-success', 'ended without saying that it succeeded'));
    else this.#end(null);
  }

  #end(error: ExternalProgramError | null): void {
    clearTimeout(this.#timeout);
    clearTimeout(this.#order);
    this.#run.signal?.removeEventListener('abort', this.#abort);
    if (error === null) this.#settle.resolve(this.#output.tail);
    else this.#settle.reject(error);
  }
}

/** The last lines, so many characters of them. */
class Output {
  readonly #lines: string[] = [];
  #length = 0;

  add(line: string): void {
    this.#lines.push(line);
    this.#length += line.length + 1;
    while (this.#length > keptOutput) this.#length -= this.#lines.shift()!.length + 1;
  }

  get tail(): string {
    return this.#lines.join('\n');
  }
}

/** Cuts a stream into lines, and lines that are too long into pieces. */
class Lines {
  readonly #decoder = new StringDecoder('utf8');
  readonly #take: (line: string) => void;
  #rest = '';

  constructor(take: (line: string) => void) {
    this.#take = take;
  }

  write(piece: Buffer): void {
    const parts = (this.#rest + this.#decoder.write(piece)).split(/\r?\n/);
    this.#rest = parts.pop()!;
    for (const line of parts) this.#cut(line);
    while (this.#rest.length > longestLine) {
      this.#take(this.#rest.slice(0, longestLine));
      this.#rest = this.#rest.slice(longestLine);
    }
  }

  end(): void {
    const last = this.#rest + this.#decoder.end();
    this.#rest = '';
    if (last !== '') this.#cut(last);
  }

  #cut(line: string): void {
    for (let at = 0; at === 0 || at < line.length; at += longestLine)
      this.#take(line.slice(at, at + longestLine));
  }
}
