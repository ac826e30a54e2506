/*
 * The package's public entry, for authors of workflows: declare tasks and trees, and start a node that runs them. What
 * is not named here is internal and may change at any time. An auditor's program needs `conclave/verifier` alone.
 */
export type { HandlerContext, HandlerLog, TaskView } from './engine/context.ts';
export {
  type DefinedContainer,
  type DefinedTask,
  defineContainer,
  defineTask,
  type Handler,
  type QueueOptions,
  type RetryPolicy,
  type TaskDefinition,
  TaskError,
  type TaskHooks,
} from './engine/definitions.ts';
export type { Status, Task, TaskType } from './engine/model.ts';
export {
  type ExternalOptions,
  external,
  parallel,
  type QuorumOptions,
  type SimpleOptions,
  sequential,
  simple,
  synchronized,
  type TreeNode,
} from './engine/tree.ts';
export { ConclaveError, type Failure } from './errors.ts';
export type { Json } from './json.ts';
export { type MadeNode, makeNode, type NewNode } from './node/new-node.ts';
export { type RunningNode, type StartOptions, startNode } from './node/node.ts';
export { loadSettings, type Settings } from './node/settings.ts';
