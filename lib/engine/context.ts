/**
 * What a handler sees of its task and may do (FQ-A8, D14). Everything that a handler asks for here takes effect
 * when it returns, in the transaction in which its task goes on; if it throws, none of it does.
 */
import { ConclaveError } from '../errors.ts';
import type { Json } from '../json.ts';
import type { Status, Task, TaskType } from './model.ts';
import type { EngineStore, OpenTransaction, TaskReads } from './store.ts';
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
  /** The raw message that it handles (FQ-A1); null: it is a task like any other. */
  readonly message: { readonly id: string; readonly taskId: string | null } | null;
}

/** The logger that handlers get; pino's methods. */
export interface HandlerLog {
  debug(fields: object, message?: string): void;
  info(fields: object, message?: string): void;
  warn(fields: object, message?: string): void;
  error(fields: object, message?: string): void;
}

export interface HandlerContext {
  /**
   * Aborted when the task was cancelled or expired, when another worker has taken it over, or when the node stops. A
   * handler that goes on all the same keeps its place and its connection, and nothing of what it does counts.
   */
  readonly signal: AbortSignal;
  readonly log: HandlerLog;
  readonly node: { readonly name: string; readonly url: string };
  readonly now: Date;
  /**
   * A database transaction that commits together with the task's end, or not at all (D14). Opened when first asked
   * for, as soon as not too many other handlers have one open. `Handle` is a knex transaction. The server ends one in
   * which nothing happens for a minute: prepare first, then open it.
   */
  tx<Handle>(): Promise<Handle>;
  /** Adds subtasks; they start when the handler has returned (FQ-T7). */
  add(...trees: TreeNode[]): void;
  /** Adds tasks to the parent, after the last of its children: the next steps of a sequence that decides as it goes. */
  addToParent(...trees: TreeNode[]): void;
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
  const { reservationLost = false, message = null } = metadata;
  return { ...rest, info: infoText, reservationLost, message };
}

/** What a handler asked for, to be applied when it has returned. */
export interface Requests {
  nodes: ResolvedNode[];
  parentNodes: ResolvedNode[];
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

export interface CreatedContext {
  context: HandlerContext;
  requests: Requests;
  /** The handler has returned: it may ask for nothing more. Waits for a transaction that it did not wait for. */
  seal(): Promise<void>;
}

/** The context of one call, and the requests that it collects. */
export function createContext(parts: ContextParts): CreatedContext {
  const { task, store, resolver, signal } = parts;
  const requests: Requests = {
    nodes: [],
    parentNodes: [],
    output: undefined,
    parentOutput: undefined,
    recovered: false,
    inputs: {},
    transaction: undefined,
  };
  let opening: Promise<OpenTransaction<unknown>> | undefined;
  let sealed = false;
  const ask = (): Requests => {
    if (sealed) throw new Error('the handler has returned: it cannot ask for anything any more');
    return requests;
  };
  const begin = async (): Promise<OpenTransaction<unknown>> => {
    requests.transaction = await database(store, () => store.begin(signal));
    return requests.transaction;
  };
  // In the handler's own transaction, if it has one: it sees what it wrote, and needs no second connection.
  const read = async <T>(what: (reads: TaskReads) => Promise<T>): Promise<T> =>
    database(store, () => what(requests.transaction ?? store));
  const views = async (id: string): Promise<TaskView[]> =>
    (await read((reads) => reads.childrenOf(id))).map(viewOf);
  const one = async (id: string): Promise<TaskView | undefined> =>
    view(await read((reads) => reads.task(id)));
  const siblings = async (): Promise<TaskView[]> =>
    task.parentId === null ? [] : (await views(task.parentId)).filter(({ id }) => id !== task.id);
  const context: HandlerContext = {
    signal: parts.signal,
    log: parts.log,
    node: parts.node,
    now: parts.now,
    async tx<Handle>() {
      ask();
      opening ??= begin();
      return (await opening).handle as Handle;
    },
    add(...trees) {
      ask().nodes.push(...trees.map((tree) => resolve(tree, resolver)));
    },
    addToParent(...trees) {
      if (task.parentId === null) throw new ConclaveError('invalid_tree', { reason: 'a root has no parent' });
      ask().parentNodes.push(...trees.map((tree) => resolve(tree, resolver)));
    },
    setOutput(output) {
      ask().output = output;
    },
    setParentOutput(output) {
      if (task.parentId === null) throw new ConclaveError('invalid_tree', { reason: 'a root has no parent' });
      ask().parentOutput = output;
    },
    recover(output) {
      ask().recovered = true;
      if (output !== undefined) requests.output = output;
    },
    setInput(childId, input) {
      ask().inputs[childId] = input;
    },
    progress: parts.reportProgress,
    asyncData(name) {
      const path = parts.files.get(name);
      if (path === undefined)
        throw new ConclaveError('async_data_failed', { name, reason: 'it did not come' });
      return path;
    },
    parent: async () => (task.parentId === null ? undefined : one(task.parentId)),
    children: () => views(task.id),
    child: async (label) => (await views(task.id)).find((child) => child.label === label),
    childrenOf: views,
    siblings,
    sibling: async (label) => (await siblings()).find((sibling) => sibling.label === label),
    previous: async () => (await siblings()).find(({ order }) => order === task.order - 1),
    next: async () => (await siblings()).find(({ order }) => order === task.order + 1),
    task: one,
  };
  const seal = async (): Promise<void> => {
    sealed = true;
    await opening;
  };
  return { context, requests, seal };
}

/** A database that is away is not the handler's failure (D10). */
export async function database<T>(store: EngineStore, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    throw store.isPassing(thrown) ? new ConclaveError('database_unavailable', {}, { cause: thrown }) : thrown;
  }
}

function view(task: Task | undefined): TaskView | undefined {
  return task === undefined ? undefined : viewOf(task);
}
