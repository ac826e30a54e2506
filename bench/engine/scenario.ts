/*
 * What a benchmark of the engine is made of. A scenario names its nodes, the actions that they run, and the commands
 * that the benchmark's own process sends to them; `run` drives it and answers with what was measured.
 *
 * A scenario's module is loaded by the benchmark and by each of its nodes: it must do nothing by itself.
 */
import type { DefinedContainer, DefinedTask } from '../../lib/engine/definitions.ts';
import type { Json } from '../../lib/json.ts';
import type { RunningNode } from '../../lib/node/node.ts';
import type { EndedTasks } from './ended-tasks.ts';
import type { Bench } from './harness.ts';
import type { Measurement } from './measurement.ts';

/** What a command gets in the process of its node. */
export interface NodeTools {
  readonly node: RunningNode;
  /** Ends of this node's tasks, as they are committed. */
  readonly ended: EndedTasks;
  /** Root URLs of all nodes of the scenario, by name. */
  readonly urls: Readonly<Record<string, string>>;
}

export type Command = (tools: NodeTools, argument: Json) => Promise<Json>;

export interface NodePlan {
  readonly name: string;
  /** Further settings, as in the settings' file. */
  readonly settings?: Readonly<Record<string, Json>>;
  /** As what this node takes its peers, by their names; others are asked what they are. */
  readonly dialects?: Readonly<Record<string, 'conclave' | 'frestq'>>;
}

export interface Scenario {
  readonly name: string;
  /** One line: what a task is here, and what is measured. */
  readonly about: string;
  readonly nodes: readonly NodePlan[];
  readonly definitions: () => readonly (DefinedTask | DefinedContainer)[];
  readonly commands: Readonly<Record<string, Command>>;
  run(bench: Bench): Promise<Measurement>;
}
