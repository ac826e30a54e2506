/** What passes between a client and its thread, and the types of the operations by name. */
import type { RefusalReason } from '../refusal.ts';
import type { keyOperations } from './key-operations.ts';
import type { mixOperations } from './mix-operations.ts';
import type { precomputationOperations } from './precomputation.ts';

export type Operations = typeof keyOperations & typeof mixOperations & typeof precomputationOperations;
export type OperationName = keyof Operations;
export type ParametersOf<Name extends OperationName> = Parameters<Operations[Name]>[0];
export type ResultOf<Name extends OperationName> = ReturnType<Operations[Name]>;

export interface Request {
  readonly operation: OperationName;
  readonly parameters: unknown;
}

export type Response =
  | { readonly kind: 'progress'; readonly step: string; readonly done: number }
  | { readonly kind: 'result'; readonly value: unknown }
  | { readonly kind: 'refusal'; readonly reason: RefusalReason; readonly message: string }
  | { readonly kind: 'failure'; readonly message: string };
