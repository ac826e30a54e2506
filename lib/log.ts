/*
 * The node's log (D54): one JSON object a line, by pino, to standard error or to a file of mode 0600.
 *
 * Secrets never reach it: fields whose names say that they hold one are blanked at any depth, and so are private keys
 * in PEM and passwords in URLs, in messages too. That is a net, not a licence: do not log what holds secrets.
 */
import { chmodSync } from 'node:fs';
import { type DestinationStream, destination, type Logger, pino, stdSerializers } from 'pino';

export type LogLevel = 'debug' | 'info' | 'error';
export type Log = Logger;

export interface LogOptions {
  /** As `--log-level` (FQ-C12). */
  readonly level?: LogLevel | undefined;
  /** File to append to; standard error by default. */
  readonly file?: string | undefined;
  /** Name of the node, in every line. */
  readonly node?: string | undefined;
  /** Where lines go instead; for tests. */
  readonly stream?: DestinationStream | undefined;
}

const SECRET_NAME =
  /passw|passphrase|secret|credential|authorization|cookie|token|private_?key|^key_?file_?content|^shares?$|^exponents?$|^randomness$|^seed$|^nonce$/i;
const BLANK = '[secret]';
const MAX_DEPTH = 8;

/** Lines are written before the call returns: what was logged before a crash is there. */
export function createLog(options: LogOptions = {}): Log {
  const base = options.node === undefined ? {} : { node: options.node };
  const log = pino(
    {
      level: options.level ?? 'info',
      base,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: {
        level: (label) => ({ level: label }),
        log: (fields) => blankObject(fields, 0),
      },
      serializers: { err: (error: unknown) => error },
      hooks: {
        logMethod(args, method) {
          method.apply(this, cleanArguments(args) as typeof args);
        },
      },
    },
    options.stream ?? openDestination(options.file),
  );
  // Fields of a child pass no formatter, and its own children inherit this.
  const { child } = log;
  log.child = function childWithoutSecrets(this: Log, fields, childOptions) {
    return child.call(this, blankObject(fields, 0), childOptions);
  } as typeof child;
  return log;
}

/** pino would take an error's message as the line's own, past our formatters: put it in its place ourselves. */
function cleanArguments(args: readonly unknown[]): unknown[] {
  const [first, ...rest] = args;
  if (typeof first !== 'object' || first === null) return args.map((each) => blank(each, 1));
  const fields = first instanceof Error ? { err: first } : first;
  const { err } = fields as { err?: unknown };
  const message = rest.length === 0 && err instanceof Error ? [err.message] : rest;
  return [fields, ...message.map((each) => blank(each, 1))];
}

function openDestination(file: string | undefined): DestinationStream {
  if (file === undefined) return destination({ dest: 2, sync: true });
  const stream = destination({ dest: file, append: true, mkdir: true, mode: 0o600, sync: true });
  chmodSync(file, 0o600); // a file that was there already
  return stream;
}

function blankObject(fields: object, depth: number): Record<string, unknown> {
  const clean: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    clean[name] = SECRET_NAME.test(name) ? BLANK : blank(value, depth + 1);
  }
  return clean;
}

function blank(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return blankText(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  if (depth > MAX_DEPTH) return '[…]';
  if (value instanceof Error) return blankObject(stdSerializers.err(value), depth);
  if (Array.isArray(value)) return value.map((each) => blank(each, depth + 1));
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if ('toJSON' in value && typeof value.toJSON === 'function') return blank(value.toJSON(), depth + 1);
  return blankObject(value, depth);
}

function blankText(text: string): string {
  return text
    .replaceAll(/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, BLANK)
    .replaceAll(/(:\/\/[^\s:/@]*):[^\s/@]+@/g, `$1:${BLANK}@`);
}
