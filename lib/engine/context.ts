/**
 * What a handler sees of its task and may do (FQ-A8, D14). Everything that a handler asks for here takes effect
 * when it returns, in the transaction in which its task goes on; if it throws, none of it does.
 */
import { ConclaveError } from '../errors.ts';
import type { Json, Status, Task, TaskType } from './model.ts';
import type { EngineStore, OpenTransaction } from './store.ts';
import { type ResolvedNode, type Resolver, resolve, type TreeNode } from './tree.ts';

/** A task, for reading. */
export interface TaskView<Input = unknown> {
  readonly id: string;
  readonly rootId: string;
  readonly parentId: string | null;
  readonly order: number;
  readonly label: string | null;
  readonly type: TaskType;
  readonly action: string;
  readonly queue: string;
  readonly status: Status;
  readonly input: Input;
  readonly output: Json;
  readonly reservationData: Json;
  readonly error: Task['error'];
  readonly info: string | null;
  /** The peer that sent it; null: this node. */
  readonly peerId: string | null;
  readonly senderUrl: string;
  readonly receiverUrl: string;
  readonly createdDate: Date;
  /** How often its handler was called before and failed. */
  readonly attempt: number;
  /** Performer of a synchronized task: the reservation had been given up when the order to start came. */
  readonly reservationLost: boolean;
}

/** The logger that handlers get; pino's methods. */
export interface HandlerLog {
  debug(fields: object, message?: string): void;
  info(fields: object, message?: string): void;
  warn(fields: object, message?: string): void;
  error(fields: object, message?: string): void;
}

export interface HandlerContext {
  /** Aborted when the task was cancelled or expired, when another worker has taken it over, or when the node stops. */
  readonly signal: AbortSignal;
  readonly log: HandlerLog;
  readonly node: { readonly name: string; readonly url: string };
  readonly now: Date;
  /**
   * A database transaction that commits together with the task's end, or not at all (D14). Opened when first asked
   * for. `Handle` is a knex transaction.
   */
  tx<Handle>(): Promise<Handle>;
  /** Adds subtasks; they start when the handler has returned (FQ-T7). */
  add(...trees: TreeNode[]): void;
  setOutput(output: Json): void;
  /** Error handlers: the error goes no further; the task goes on with what was added, or ends well (FQ-T8). */
  recover(output?: Json): void;
  /** Hooks of a synchronized container: edits a child's input before the start (FQ-A7). */
  setInput(childId: string, input: Json): void;
  /** Shown to operators here and at the sender. Any JSON; `{ done, total }` is drawn as a bar. */
  progress(state: Json): void;
  /** Path of a file with bulk data that came with the task (D17). */
  asyncData(name: string): string;
  parent(): Promise<TaskView | undefined>;
  children(): Promise<TaskView[]>;
  child(label: string): Promise<TaskView | undefined>;
  childrenOf(taskId: string): Promise<TaskView[]>;
  siblings(): Promise<TaskView[]>;
  sibling(label: string): Promise<TaskView | undefined>;
  previous(): Promise<TaskView | undefined>;
  next(): Promise<TaskView | undefined>;
  task(id: string): Promise<TaskView | undefined>;
  /** Sets the output of the parent (the original's `get_parent().set_output_data`). */
  setParentOutput(output: Json): void;
}

export function viewOf(task: Task): TaskView {
  const { metadata, infoText, ...rest } = task;
  return { ...rest, info: infoText, reservationLost: metadata.reservationLost === true };
}

/** What a handler asked for, to be applied when it has returned. */
export interface Requests {
  nodes: ResolvedNode[];
  output: Json | undefined;
  parentOutput: Json | undefined;
  recovered: boolean;
  inputs: Record<string, Json>;
  transaction: OpenTransaction<unknown> | undefined;
}

export interface ContextParts {
  task: Task;
  store: EngineStore;
  resolver: Resolver;
  signal: AbortSignal;
  log: HandlerLog;
  node: { name: string; url: string };
  now: Date;
  files: ReadonlyMap<string, string>;
  reportProgress(state: Json): void;
}

/** The context of one call, and the requests that it collects. */
export function createContext(parts: ContextParts): { context: HandlerContext; requests: Requests } {
  const { task, store, resolver } = parts;
  const requests: Requests = {
    nodes: [],
    output: undefined,
    parentOutput: undefined,
    recovered: false,
    inputs: {},
    transaction: undefined,
  };
  let opening: Promise<OpenTransaction<unknown>> | undefined;
  const views = async (id: string): Promise<TaskView[]> => (await store.childrenOf(id)).map(viewOf);
  const siblings = async (): Promise<TaskView[]> =>
    task.parentId === null ? [] : (await views(task.parentId)).filter(({ id }) => id !== task.id);
  const context: HandlerContext = {
    signal: parts.signal,
    log: parts.log,
    node: parts.node,
    now: parts.now,
    async tx<Handle>() {
      opening ??= store.begin();
      requests.transaction = await opening;
      return requests.transaction.handle as Handle;
    },
    add(...trees) {
      requests.nodes.push(...trees.map((tree) => resolve(tree, resolver)));
    },
    setOutput(output) {
      requests.output = output;
    },
    setParentOutput(output) {
      if (task.parentId === null) throw new ConclaveError('invalid_tree', { reason: 'a root has no parent' });
      requests.parentOutput = output;
    },
    recover(output) {
      requests.recovered = true;
      if (output !== undefined) requests.output = output;
    },
    setInput(childId, input) {
      requests.inputs[childId] = input;
    },
    progress: parts.reportProgress,
    asyncData(name) {
      const path = parts.files.get(name);
      if (path === undefined)
        throw new ConclaveError('async_data_failed', { name, reason: 'it did not come' });
      return path;
    },
    parent: async () => (task.parentId === null ? undefined : view(await store.task(task.parentId))),
    children: () => views(task.id),
    child: async (label) => (await views(task.id)).find((child) => child.label === label),
    childrenOf: views,
    siblings,
    sibling: async (label) => (await siblings()).find((sibling) => sibling.label === label),
    previous: async () => (await siblings()).find(({ order }) => order === task.order - 1),
    next: async () => (await siblings()).find(({ order }) => order === task.order + 1),
    task: async (id) => view(await store.task(id)),
  };
  return { context, requests };
}

function view(task: Task | undefined): TaskView | undefined {
  return task === undefined ? undefined : viewOf(task);
}
