/**
 * Small programs in the place of Verificatum's: a script per name that appends its arguments to `calls.jsonl` beside it and
 * does what a `behaviour.json` there says for its first argument.
 */
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { VerificatumSettings } from '../../../lib/mixnet/external/verificatum.ts';

export interface Behaviour {
  readonly print?: readonly string[];
  readonly exit?: number;
  /** Copies a recorded file to the last argument. */
  readonly answer?: string;
  /** Starts a child of its own and waits for ever; the child's id goes to `child.pid`. */
  readonly hang?: boolean;
  /** Does not end when it is asked to. */
  readonly stubborn?: boolean;
  /** Prints so many lines of a thousand characters. */
  readonly flood?: number;
}

const program = `
const { appendFileSync, copyFileSync, readFileSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');
const { spawn } = require('node:child_process');
const [folder, name, ...args] = process.argv.slice(2);
appendFileSync(join(folder, 'calls.jsonl'), JSON.stringify({ name, args, cwd: process.cwd() }) + '\\n');
const behaviour = JSON.parse(readFileSync(join(folder, 'behaviour.json'), 'utf8'))[name + ' ' + args[0]] ?? {};
for (const line of behaviour.print ?? []) console.log(line);
for (let i = 0; i < (behaviour.flood ?? 0); i++) console.log(String(i).padEnd(1000, '.'));
if (behaviour.answer) copyFileSync(behaviour.answer, args.at(-1));
if (behaviour.stubborn) process.on('SIGTERM', () => console.log('not yet'));
if (behaviour.hang) {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'inherit' });
  writeFileSync(join(folder, 'child.pid'), String(child.pid));
  setInterval(() => {}, 1000);
} else process.exitCode = behaviour.exit ?? 0;
`;

export class StandIns {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
    writeFileSync(join(folder, 'program.cjs'), program);
    for (const name of ['vmn', 'vmni', 'vmnc', 'vmnv']) {
      const path = join(folder, name);
      const call = [process.execPath, join(folder, 'program.cjs'), folder, name].map((part) => `'${part}'`);
      writeFileSync(path, `#!/bin/sh\nexec ${call.join(' ')} "$@"\n`);
      chmodSync(path, 0o755);
    }
    this.behave({});
  }

  /** By program and first argument, as in `vmn -mix`. */
  behave(behaviours: Readonly<Record<string, Behaviour>>): void {
    writeFileSync(join(this.#folder, 'behaviour.json'), JSON.stringify(behaviours));
    writeFileSync(join(this.#folder, 'calls.jsonl'), '');
  }

  calls(): string[] {
    const lines = readFileSync(join(this.#folder, 'calls.jsonl'), 'utf8').split('\n').filter(Boolean);
    return lines.map((line) => {
      const { name, args } = JSON.parse(line) as { name: string; args: string[] };
      return [name, ...args].join(' ');
    });
  }

  childPid(): number {
    return Number(readFileSync(join(this.#folder, 'child.pid'), 'utf8'));
  }

  settings(timeoutSeconds = 20): VerificatumSettings {
    const path = (name: string): string => join(this.#folder, name);
    return {
      programs: { vmn: path('vmn'), vmni: path('vmni'), vmnc: path('vmnc'), vmnv: path('vmnv') },
      timeoutSeconds: {
        convert: timeoutSeconds,
        keygen: timeoutSeconds,
        mix: timeoutSeconds,
        verify: timeoutSeconds,
      },
    };
  }
}
