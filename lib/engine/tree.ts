/**
 * Task-tree builders for workflow authors, and the rows that a tree becomes (FQ-T1…T7).
 *
 * A tree is plain data. `resolve` checks it and fixes ids and receivers; `rows` makes tasks of it. Nothing here
 * starts anything.
 */
import { ConclaveError } from '../errors.ts';
import type { Json } from '../json.ts';
import {
  type AsyncData,
  INTERNAL_QUEUE,
  type Task,
  type TaskMetadata,
  type TaskType,
  VIRTUAL_ACTION,
} from './model.ts';

interface Common {
  /** Names a task among its siblings (FQ-A8 `get_sibling(label)`). */
  label?: string;
  /** Shown to operators. */
  info?: string;
  /** When to ask the receiver for the state (D17). */
  pingbackDate?: Date;
  /** When the task becomes an error if it has not ended (D17). */
  expirationDate?: Date;
}

export interface SimpleOptions extends Common {
  /** Root queues URL of the node that executes it; absent: this node. */
  receiver?: string;
  queue: string;
  action: string;
  data?: Json;
  /** Bulk data that the receiver fetches before the handler runs (D17). */
  asyncData?: AsyncData;
}

export interface ContainerOptions extends Common {
  data?: Json;
  /** Name of a `defineContainer` definition: its `handleError`, and for synchronized tasks its hooks (FQ-A4). */
  handler?: string;
}

export interface QuorumOptions extends ContainerOptions {
  /** How many children suffice (D16). */
  quorum?: number;
  /**
   * Seconds that the others get once the quorum has finished (or, synchronized, has reserved); what is not there then
   * is cancelled. Default 0; synchronized: 5.
   */
  quorumWait?: number;
}

export interface ParallelOptions extends QuorumOptions {
  /** An error of the task ends those of its children too that run: here, and at peers (D17). Default: they go on (FQ-T3). */
  endsTogether?: boolean;
}

export interface ExternalOptions extends Common {
  /** Names the decision that is waited for (FQ-T5). */
  label: string;
  /** Shown to the operator. */
  data?: Json;
}

export interface TreeNode {
  readonly type: TaskType;
  readonly action: string;
  readonly queue: string;
  readonly receiver: string | null;
  readonly data: Json;
  readonly label: string | null;
  readonly info: string | null;
  readonly pingbackDate: Date | null;
  readonly expirationDate: Date | null;
  readonly asyncData: AsyncData | null;
  readonly quorum: number | null;
  readonly metadata: TaskMetadata;
  readonly children: readonly TreeNode[];
}

/** A tree with fixed ids and known receivers. `peerId` null: executed here. */
export interface ResolvedNode extends Omit<TreeNode, 'children' | 'receiver'> {
  readonly id: string;
  readonly peerId: string | null;
  readonly receiverUrl: string;
  readonly children: readonly ResolvedNode[];
}

/** A task that a handler executes, here or at a peer (FQ-T1). */
export function simple(options: SimpleOptions): TreeNode {
  return {
    ...node('simple', options, []),
    action: options.action,
    queue: options.queue,
    receiver: options.receiver ?? null,
    asyncData: options.asyncData ?? null,
  };
}

/** Children one after the other; stops at the first error (FQ-T2). */
export function sequential(children: readonly TreeNode[], options: ContainerOptions = {}): TreeNode {
  return node('sequential', options, children);
}

/** Children at the same time (FQ-T3). */
export function parallel(children: readonly TreeNode[], options: ParallelOptions = {}): TreeNode {
  const made = quorumNode('parallel', options, children, 0);
  return options.endsTogether === true
    ? { ...made, metadata: { ...made.metadata, endsTogether: true } }
    : made;
}

/** Children that start together, when all (or the quorum) hold reservations (FQ-T4). */
export function synchronized(children: readonly TreeNode[], options: QuorumOptions = {}): TreeNode {
  return quorumNode('synchronized', options, children, 5);
}

/** Waits until someone outside finishes it with data (FQ-T5). */
export function external(options: ExternalOptions): TreeNode {
  return node('external', options, []);
}

function quorumNode(
  type: TaskType,
  options: QuorumOptions,
  children: readonly TreeNode[],
  defaultWait: number,
): TreeNode {
  const made = node(type, options, children);
  if (options.quorum === undefined) return made;
  const quorumWait = options.quorumWait ?? defaultWait;
  return { ...made, quorum: options.quorum, metadata: { ...made.metadata, quorumWait } };
}

function node(type: TaskType, options: ContainerOptions, children: readonly TreeNode[]): TreeNode {
  return {
    type,
    action: VIRTUAL_ACTION,
    queue: INTERNAL_QUEUE,
    receiver: null,
    data: options.data ?? null,
    label: options.label ?? null,
    info: options.info ?? null,
    pingbackDate: options.pingbackDate ?? null,
    expirationDate: options.expirationDate ?? null,
    asyncData: null,
    quorum: null,
    metadata: options.handler === undefined ? {} : { handler: options.handler },
    children,
  };
}

/** What resolving a tree needs to know of the node. */
export interface Resolver {
  /** The id of the peer with that root queues URL; null: this node itself; undefined: unknown. */
  peerIdOf(url: string): string | null | undefined;
  ownUrl: string;
  isDefined(queue: string, action: string): boolean;
  /** How many tasks of a queue of this node run at a time. */
  slotsOf(queue: string): number;
  isContainerHandler(name: string): boolean;
  newId(): string;
}

/**
 * Fixes ids and receivers.
 * @throws ConclaveError `invalid_tree` or `unknown_peer`
 */
export function resolve(tree: TreeNode, resolver: Resolver, depth = 1): ResolvedNode {
  const { receiver, ...rest } = tree;
  if (depth > MAX_DEPTH)
    throw new ConclaveError('invalid_tree', { reason: `it is nested more than ${MAX_DEPTH} deep` });
  check(tree, resolver);
  if (tree.type === 'synchronized') checkSlots(tree, resolver);
  const peerId = receiver === null ? null : resolver.peerIdOf(receiver);
  if (peerId === undefined) throw new ConclaveError('unknown_peer', { url: receiver });
  return {
    ...rest,
    id: resolver.newId(),
    peerId,
    receiverUrl: peerId === null ? resolver.ownUrl : receiver!,
    children: tree.children.map((child) => resolve(child, resolver, depth + 1)),
  };
}

/** Those that start together hold a slot each at the same time: more than there are would wait for one another for ever. */
function checkSlots({ children, quorum }: TreeNode, resolver: Resolver): void {
  const spared = children.length - (quorum ?? children.length);
  const here = children.filter(
    ({ type, receiver }) => type === 'simple' && (receiver === null || resolver.peerIdOf(receiver) === null),
  );
  for (const [queue, wanted] of Map.groupBy(here, (child) => child.queue)) {
    const slots = resolver.slotsOf(queue);
    if (wanted.length - spared <= slots) continue;
    const reason =
      `${wanted.length} tasks of the queue ${queue} are to start together here, and it runs ${slots} at a time: ` +
      'raise max_threads of the queue, or make the tasks fewer';
    throw new ConclaveError('invalid_tree', { reason });
  }
}

const MAX_ID = 128;
const MAX_TEXT = 1024;
const MAX_INFO = 2048;
const MAX_DEPTH = 500;

function check(tree: TreeNode, resolver: Resolver): void {
  const invalid = (reason: string): never => {
    throw new ConclaveError('invalid_tree', { reason });
  };
  const here = tree.label === null ? tree.action : `${tree.action} (${tree.label})`;
  for (const [field, text] of Object.entries({ action: tree.action, queue: tree.queue, label: tree.label }))
    if (text !== null && (text.length > MAX_TEXT || text === ''))
      invalid(`the ${field} of ${here.slice(0, MAX_ID)} must have 1 to ${MAX_TEXT} characters`);
  if (tree.info !== null && tree.info.length > MAX_INFO)
    invalid(`the info of ${here.slice(0, MAX_ID)} must have at most ${MAX_INFO} characters`);
  for (const text of [tree.action, tree.queue, tree.label, tree.info])
    if (text?.includes('\0')) invalid(`a text of ${here.slice(0, MAX_ID)} contains U+0000`);
  if (tree.type === 'simple' && tree.queue === INTERNAL_QUEUE)
    invalid(`the queue ${INTERNAL_QUEUE} is the engine’s own`);
  if (tree.quorum !== null) {
    const { quorum } = tree;
    if (!Number.isInteger(quorum) || quorum < 1 || quorum > tree.children.length)
      invalid(`the quorum of ${here} must be between 1 and its ${tree.children.length} children`);
  }
  if (tree.type === 'synchronized' && tree.children.some((child) => child.type !== 'simple'))
    invalid('the children of a synchronized task must be simple tasks');
  if (tree.metadata.handler !== undefined && !resolver.isContainerHandler(tree.metadata.handler))
    invalid(`no container handler is called ${tree.metadata.handler}`);
  const local = tree.receiver === null || resolver.peerIdOf(tree.receiver) === null;
  if (tree.type === 'simple' && local && !resolver.isDefined(tree.queue, tree.action))
    invalid(`the action ${tree.action} is not defined in the queue ${tree.queue} of this node`);
}

/** Where a subtree is attached. */
export interface Attachment {
  rootId: string;
  parentId: string;
  /** The order of the first of the subtrees. */
  order: number;
}

/**
 * The rows of resolved trees: parents before children, all `created`.
 * @param at where they hang; null: each is a root
 */
export function rows(
  nodes: readonly ResolvedNode[],
  at: Attachment | null,
  context: { now: Date; node: { url: string } },
): Task[] {
  const tasks: Task[] = [];
  const visit = (made: ResolvedNode, rootId: string, parentId: string | null, order: number): void => {
    tasks.push(row(made, rootId, parentId, order, context));
    made.children.forEach((child, index) => {
      visit(child, rootId, made.id, index);
    });
  };
  nodes.forEach((made, index) => {
    visit(made, at?.rootId ?? made.id, at?.parentId ?? null, (at?.order ?? 0) + index);
  });
  return tasks;
}

function row(
  made: ResolvedNode,
  rootId: string,
  parentId: string | null,
  order: number,
  context: { now: Date; node: { url: string } },
): Task {
  return {
    ...blankTask(made.id, context.now),
    rootId,
    parentId,
    order,
    label: made.label,
    type: made.type,
    action: made.action,
    queue: made.queue,
    isLocal: made.peerId === null,
    peerId: made.peerId,
    senderUrl: context.node.url,
    receiverUrl: made.receiverUrl,
    pingbackDate: made.pingbackDate,
    expirationDate: made.expirationDate,
    infoText: made.info,
    input: made.data,
    asyncData: made.asyncData,
    metadata: { ...made.metadata },
    quorum: made.quorum,
    children: made.children.length,
    handled: made.type !== 'simple',
  };
}

/** A task with nothing in it: a local root. */
export function blankTask(id: string, now: Date): Task {
  return {
    id,
    rootId: id,
    parentId: null,
    order: 0,
    label: null,
    type: 'sequential',
    action: VIRTUAL_ACTION,
    queue: INTERNAL_QUEUE,
    status: 'created',
    isReceived: false,
    isLocal: true,
    peerId: null,
    senderUrl: '',
    receiverUrl: '',
    createdDate: now,
    modifiedDate: now,
    pingbackDate: null,
    expirationDate: null,
    infoText: null,
    input: null,
    output: null,
    reservationData: null,
    asyncData: null,
    metadata: {},
    error: null,
    progress: null,
    quorum: null,
    children: 0,
    childrenFinished: 0,
    childrenFailed: 0,
    childrenReserved: 0,
    handled: false,
    epoch: 0,
    priority: null,
    job: null,
    jobQueue: null,
    runAt: now,
    attempt: 0,
    takeovers: 0,
    workerId: null,
    fence: 0,
    slot: false,
  };
}
