/*
 * Environment variables that override settings (D53): `CONCLAVE_<SECTION>_<KEY>`, one for every setting, derived from
 * the schema. A variable that looks like one and is none is refused, as an unknown key of the file is.
 */
import { z } from 'zod';
import { SettingsSchema } from './settings-schema.ts';

const PREFIX = 'CONCLAVE_';
/** Where the settings are; no settings themselves. */
export const SETTINGS_FILE_VARIABLES = ['CONCLAVE_SETTINGS', 'FRESTQ_SETTINGS'] as const;
/** What Kubernetes puts into the environment beside a service of that name. */
const OF_KUBERNETES = /_SERVICE_(?:HOST|PORT)(?:_|$)|_PORT_\d+_(?:TCP|UDP)|^CONCLAVE_PORT$/;

export interface JsonSchema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly anyOf?: readonly JsonSchema[];
  readonly required?: readonly string[];
  readonly enum?: readonly unknown[];
  readonly items?: JsonSchema;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly description?: string;
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
}

export interface Leaf {
  readonly path: readonly string[];
  readonly schema: JsonSchema;
  readonly variable: string;
}

/** The schema of the file as JSON Schema. */
export function settingsJsonSchema(): JsonSchema {
  return z.toJSONSchema(SettingsSchema, { io: 'input', unrepresentable: 'any' }) as JsonSchema;
}

/** The settings proper, in the schema's order: everything but sections. */
export function leaves(schema: JsonSchema = settingsJsonSchema(), path: readonly string[] = []): Leaf[] {
  const section = schema.properties === undefined ? schema.anyOf?.find((each) => each.properties) : schema;
  if (section?.properties === undefined) {
    return [{ path, schema, variable: `${PREFIX}${path.join('_').toUpperCase()}` }];
  }
  return Object.entries(section.properties).flatMap(([key, value]) => leaves(value, [...path, key]));
}

/**
 * Lays the variables over what the file says.
 *
 * @returns the combined object, and a sentence for every variable that cannot be used
 */
export function applyEnvironment(
  file: Record<string, unknown>,
  environment: NodeJS.ProcessEnv,
  suggest: (name: string, known: readonly string[]) => string,
): { combined: Record<string, unknown>; problems: string[] } {
  const known = new Map(leaves().map((leaf) => [leaf.variable, leaf]));
  const combined = structuredClone(file);
  const problems: string[] = [];
  for (const [name, text] of Object.entries(environment)) {
    if (!name.startsWith(PREFIX) || text === undefined) continue;
    if (SETTINGS_FILE_VARIABLES.some((each) => each === name)) continue;
    const leaf = known.get(name);
    if (leaf === undefined) {
      if (OF_KUBERNETES.test(name)) continue;
      problems.push(`the environment variable ${name} is not known${suggest(name, [...known.keys()])}`);
      continue;
    }
    const value = read(text, leaf.schema);
    if (value === undefined) problems.push(`the environment variable ${name} is not valid JSON`);
    else put(combined, leaf.path, value);
  }
  return { combined, problems };
}

/** A variable's text as the type that the setting has; what does not fit is left for the schema to refuse. */
function read(text: string, schema: JsonSchema): unknown {
  const types = schema.anyOf?.map(({ type }) => type) ?? [schema.type];
  if (types.includes('array')) return text === '' ? [] : text.split(',').map((part) => part.trim());
  if (types.includes('object')) {
    try {
      return JSON.parse(text);
    } catch {
      return undefined;
    }
  }
  if (types.includes('boolean') && (text === 'true' || text === 'false')) return text === 'true';
  const numeric = types.includes('number') || types.includes('integer');
  return numeric && /^-?\d+(?:\.\d+)?$/.test(text) ? Number(text) : text;
}

function put(target: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let at = target;
  for (const key of path.slice(0, -1)) {
    const inner = Object.hasOwn(at, key) ? at[key] : undefined;
    if (typeof inner !== 'object' || inner === null) at[key] = {};
    at = at[key] as Record<string, unknown>;
  }
  at[path.at(-1)!] = value;
}
