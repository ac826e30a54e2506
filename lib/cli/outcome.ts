/**
 * How commands end. Exit codes: 0 it worked (`verify`: valid), 1 it did not (`verify`: invalid), 2 it was called wrongly
 * or its input cannot be used.
 */
import { ConclaveError, reasonOf } from '../errors.ts';
import { harmless, type Terminal } from './terminal.ts';

export const EXIT = { ok: 0, failure: 1, usage: 2 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Called wrongly: the message says how to call it. */
export class UsageError extends Error {}

/** A failure whose message is for operators as it stands; `hint` says what to do next. */
export class CommandFailed extends Error {
  readonly hint: string | undefined;

  constructor(message: string, hint?: string, options?: ErrorOptions) {
    super(message, options);
    this.hint = hint;
  }
}

/** Says what went wrong; answers with the exit code. With `--json` it is an object on standard output. */
export function report(thrown: unknown, terminal: Terminal, json: boolean): ExitCode {
  const { message, hint, code, exit } = describe(thrown);
  if (json) {
    const data = thrown instanceof ConclaveError ? { data: thrown.data } : {};
    terminal.out(
      JSON.stringify({ error: { code, message, ...data, ...(hint === undefined ? {} : { hint }) } }),
    );
    return exit;
  }
  terminal.note(harmless(`conclave: ${message}`));
  if (hint !== undefined) terminal.note(harmless(hint));
  if (
    code === 'internal_error' &&
    thrown instanceof Error &&
    terminal.environment.CONCLAVE_DEBUG !== undefined
  )
    terminal.note(String(thrown.stack));
  return exit;
}

interface Described {
  readonly message: string;
  readonly code: string;
  readonly exit: ExitCode;
  readonly hint?: string | undefined;
}

function describe(thrown: unknown): Described {
  if (thrown instanceof UsageError) return { message: thrown.message, code: 'usage', exit: EXIT.usage };
  if (thrown instanceof CommandFailed)
    return { message: thrown.message, code: 'failure', exit: EXIT.failure, hint: thrown.hint };
  if (thrown instanceof ConclaveError) {
    const { code, message, data } = thrown;
    const exit = code === 'usage' || code === 'invalid_settings' ? EXIT.usage : EXIT.failure;
    if (Array.isArray(data.problems) && data.problems.length > 1) {
      const [before] = message.split(data.problems.join('; '));
      return {
        message: `${before}\n${data.problems.map((problem) => `  - ${problem}`).join('\n')}`,
        code,
        exit,
      };
    }
    return { message, code, exit, hint: HINTS[code] };
  }
  const { code } = thrown as { code?: unknown };
  if (code === 'EADDRINUSE' || code === 'EACCES')
    return { message: reasonOf(thrown), code: 'failure', exit: EXIT.failure, hint: PORT_HINT };
  return { message: reasonOf(thrown), code: 'internal_error', exit: EXIT.failure };
}

const PORT_HINT =
  'Another process has the port, or this account may not use it: change "listen" in the settings.';
const HINTS: Readonly<Record<string, string>> = {
  task_not_found: 'List tasks with: conclave --tasks',
  ambiguous_id: 'Give more characters of the id.',
};
