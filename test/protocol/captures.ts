/** The recorded exchanges of two original nodes, in `test/data/frestq`. */
import { readdirSync, readFileSync } from 'node:fs';

const FOLDER = new URL('../data/frestq/', import.meta.url);

export interface Exchange {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: unknown;
  body_raw?: string;
  status: number;
  response_body: unknown;
}

export function captureNames(): string[] {
  return readdirSync(FOLDER).filter((name) => name.endsWith('.jsonl'));
}

export function capturedExchanges(name: string): Exchange[] {
  const text = readFileSync(new URL(name, FOLDER), 'utf8');
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Exchange);
}

/** The bytes of the request. */
export function rawBody(exchange: Exchange): string {
  return (
    exchange.body_raw ?? (typeof exchange.body === 'string' ? exchange.body : JSON.stringify(exchange.body))
  );
}
