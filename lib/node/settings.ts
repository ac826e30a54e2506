/*
 * Reads a node's settings (D53): one JSON file, environment variables over it, validated as a whole. Every problem is
 * named at once, with its key; an unknown key is refused with the nearest known one.
 *
 * It reads settings and secret files, and decides nothing else: starting the node is others' work.
 */
import { open, readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { z } from 'zod';
import { ConclaveError, reasonOf } from '../errors.ts';
import { parseJson } from '../json.ts';
import type { DatabaseUrl } from '../store/database.ts';
import { suggestion } from '../suggestion.ts';
import { applyEnvironment, SETTINGS_FILE_VARIABLES, settingsJsonSchema } from './settings-environment.ts';
import { PATH_SETTINGS, type RawSettings, SettingsSchema } from './settings-schema.ts';

const DEFAULT_FILE = 'conclave.json';
const MAX_SECRET_BYTES = 64 * 1024;

/** Validated settings with absolute paths, and where they came from. */
export interface Settings extends RawSettings {
  readonly file: string;
}

/** Where the settings are: `--settings`, else the environment, else `conclave.json` here. */
export function settingsFile(
  option: string | undefined,
  environment: NodeJS.ProcessEnv = process.env,
): string {
  const named = option ?? SETTINGS_FILE_VARIABLES.map((name) => environment[name]).find((value) => value);
  return resolve(named ?? DEFAULT_FILE);
}

/**
 * @param option path from the command line
 * @throws ConclaveError `invalid_settings`; its `problems` are one sentence each
 */
export async function loadSettings(
  option?: string,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<Settings> {
  const file = settingsFile(option, environment);
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const cure = 'make one with conclave init, or name it with --settings or CONCLAVE_SETTINGS';
    throw refusal([code === 'ENOENT' ? `there is no file ${file}: ${cure}` : reasonOf(error)]);
  }
  let raw: unknown;
  try {
    raw = parseJson(bytes);
  } catch (error) {
    throw refusal([
      `${file} is not JSON: ${reasonOf(error)} (docs/settings.md says how settings of frestq and ` +
        'election-orchestra, which are Python files, are written here)',
    ]);
  }
  return parseSettings(raw, file, environment);
}

/**
 * Validates settings that were read elsewhere.
 *
 * @param file paths are taken to be relative to its folder
 * @throws ConclaveError `invalid_settings`
 */
export function parseSettings(
  raw: unknown,
  file: string,
  environment: NodeJS.ProcessEnv = process.env,
): Settings {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
    throw refusal([`${file} must contain one JSON object`]);
  }
  const { combined, problems } = applyEnvironment(raw as Record<string, unknown>, environment, suggestion);
  const parsed = SettingsSchema.safeParse(combined);
  if (!parsed.success) problems.push(...parsed.error.issues.flatMap(sentences));
  if (problems.length > 0 || !parsed.success) throw refusal(problems);
  return { ...resolvePaths(parsed.data, dirname(resolve(file))), file: resolve(file) };
}

function refusal(problems: readonly string[]): ConclaveError {
  return new ConclaveError('invalid_settings', { problems });
}

/** What zod found, in words; one sentence per unknown key. Values are not shown: one may be a secret. */
function sentences(issue: z.core.$ZodIssue): string[] {
  const at = issue.path.join('.');
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(issue.path);
    return issue.keys.map(
      (key) => `${at === '' ? key : `${at}.${key}`} is not known${suggestion(key, known)}`,
    );
  }
  if (issue.code === 'invalid_key') return [`${at} ${issue.issues[0]?.message ?? 'is not a valid key'}`];
  if (issue.code === 'invalid_union') {
    const inner = issue.errors.flat().find(({ code }) => code !== 'invalid_type');
    return [`${at} ${lead(inner?.message ?? 'has the wrong type')}`];
  }
  if (issue.code === 'invalid_type') {
    const missing = /received undefined/.test(issue.message);
    return [missing ? `${at} is missing` : `${at} must be ${WITH_ARTICLE[issue.expected] ?? issue.expected}`];
  }
  if (issue.code === 'invalid_value') return [`${at} must be one of ${issue.values.join(', ')}`];
  return [`${at} ${lead(issue.message)}`];
}

const WITH_ARTICLE: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  int: 'an integer',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
};

/** Our own messages go on after the key; zod's are sentences of their own. */
function lead(message: string): string {
  return /^(?:must|is|has) /.test(message) ? message : `is not valid: ${message}`;
}

/** The keys that the schema knows in the section at `path`. */
function keysAt(path: readonly PropertyKey[]): string[] {
  let schema = settingsJsonSchema();
  for (const key of path) {
    const section = schema.properties === undefined ? schema.anyOf?.find((each) => each.properties) : schema;
    const { additionalProperties } = schema;
    const values = typeof additionalProperties === 'object' ? additionalProperties : undefined;
    schema = section?.properties?.[String(key)] ?? values ?? {};
  }
  const section = schema.properties === undefined ? schema.anyOf?.find((each) => each.properties) : schema;
  return Object.keys(section?.properties ?? {});
}

function resolvePaths(settings: RawSettings, folder: string): RawSettings {
  const resolved = structuredClone(settings);
  for (const path of PATH_SETTINGS) {
    let at = resolved as unknown as Record<string, unknown>;
    for (const key of path.slice(0, -1)) at = at[key] as Record<string, unknown>;
    const key = path.at(-1)!;
    if (typeof at[key] === 'string') at[key] = resolve(folder, at[key]);
  }
  const { embedded } = resolved.database;
  if (embedded.binaries !== undefined && !['npm', 'system'].includes(embedded.binaries)) {
    embedded.binaries = resolve(folder, embedded.binaries);
  }
  return resolved;
}

/**
 * A secret from a file that only its owner and group may read.
 *
 * @param setting its key, for the message
 * @throws ConclaveError `invalid_settings`
 */
export async function readSecretFile(path: string, setting: string): Promise<Buffer> {
  const refuse = (reason: string) => refusal([`${setting}: ${reason}`]);
  const file = await open(path, 'r').catch((error: unknown) => {
    throw refuse(reasonOf(error));
  });
  try {
    const entry = await file.stat();
    if (!entry.isFile()) throw refuse(`${path} is not a file`);
    if ((entry.mode & 0o007) !== 0) throw refuse(`every account can read ${path}: chmod 600 ${path}`);
    if (entry.size > MAX_SECRET_BYTES) throw refuse(`${path} is larger than ${MAX_SECRET_BYTES} bytes`);
    return await file.readFile();
  } finally {
    await file.close();
  }
}

/** The address of the database named by URL, with its password; null when the database is embedded. */
export async function externalDatabase(settings: Settings): Promise<DatabaseUrl | null> {
  const { url, password_file, pooler, direct_url } = settings.database;
  if (url === undefined) return null;
  const secret =
    password_file === undefined ? undefined : await readSecretFile(password_file, 'database.password_file');
  const password = secret?.toString('utf8').replace(/\r?\n$/, '');
  return { url, pooler, directUrl: direct_url, password };
}
