/*
 * One run: faults by seed over elections and small trees; then calm, in which everything must go on by itself and come to
 * an end; then the checks.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { Random } from '../simulation/random.ts';
import { type LogSummary, readLog, readNode, unrest, violations } from './checker.ts';
import { type ElectionOutcome, Elections } from './elections.ts';
import { Faults } from './faults.ts';
import { ChaosFederation } from './federation.ts';
import { FAULTS, type FaultKind, planFaults } from './plan.ts';
import { readTrail, trailViolations } from './trail.ts';
import { Trees } from './trees.ts';

const RECOVERY_SECONDS = 10;
/** How long everything may take to come to an end when the faults are over. */
const REST_SECONDS = 120;
const LOOK_MILLISECONDS = 200;
const MAX_SHOWN = 40;

export interface ExperimentOptions {
  readonly seed: number;
  /** How long faults go on. */
  readonly minutes: number;
  /** Between two small trees. */
  readonly treeMilliseconds: number;
  readonly print: (line: string) => void;
  /** Keep the folders of a run without findings too. */
  readonly keep: boolean;
  /** Ends the run, and everything that it has started. */
  readonly signal?: AbortSignal;
}

export interface Summary {
  readonly ok: boolean;
  readonly seed: number;
  readonly minutes: number;
  readonly violations: readonly string[];
  /** By kind, how often. */
  readonly faults: Readonly<Partial<Record<FaultKind, number>>>;
  readonly skipped: Readonly<Partial<Record<FaultKind, string>>>;
  readonly elections: readonly ElectionOutcome[];
  readonly trees: { readonly asked: number; readonly created: number; readonly tasks: number };
  /** Seconds from the end of the last fault to the first effect of a handler, by node; and until nothing was left. */
  readonly recovery: { readonly firstProgress: Readonly<Record<string, number | null>>; rest: number | null };
  readonly logs: Readonly<Record<string, LogSummary>>;
  readonly seconds: number;
  /** Where everything lies; null: it was removed. */
  readonly folder: string | null;
}

export async function experiment(options: ExperimentOptions): Promise<Summary> {
  const run = new Experiment(options);
  return await run.run();
}

class Experiment {
  readonly #options: ExperimentOptions;
  readonly #federation = new ChaosFederation();
  readonly #found: string[] = [];
  readonly #started = performance.now();
  readonly #counts: Partial<Record<FaultKind, number>> = {};
  readonly #skipped: Partial<Record<FaultKind, string>> = {};
  #trees: Trees | null = null;
  #elections: Elections | null = null;
  #faults: Faults | null = null;
  readonly #firstProgress: Record<string, number | null> = {};
  #rest: number | null = null;
  #tasks = 0;

  constructor(options: ExperimentOptions) {
    this.#options = options;
  }

  async run(): Promise<Summary> {
    const logs: Record<string, LogSummary> = {};
    try {
      await this.#federation.start({ note: this.#note, found: this.#finding });
      this.#note(`three authorities run, in ${this.#federation.folder}`);
      await Promise.race([this.#chaosAndCalm(), this.#aborted()]);
      await this.#check();
    } catch (thrown) {
      this.#finding(`the test itself failed: ${(thrown as Error).stack}`);
    } finally {
      await this.#elections?.close();
      await this.#federation.close(this.#options.keep || this.#found.length > 0);
    }
    for (const { name, log } of this.#federation.authorities)
      logs[name] = await readLog(log).catch(() => ({ errors: {}, lines: 0, damaged: 0 }));
    for (const [name, { damaged }] of Object.entries(logs))
      if (damaged > 0) this.#finding(`${name}: ${damaged} lines of the log are damaged`);
    return await this.#summary(logs);
  }

  async #aborted(): Promise<never> {
    const { signal } = this.#options;
    return await new Promise((_, reject) => {
      signal?.addEventListener('abort', () => reject(new Error('the run was interrupted')), { once: true });
    });
  }

  readonly #note = (text: string): void => {
    const seconds = ((performance.now() - this.#started) / 1000).toFixed(1).padStart(6);
    this.#options.print(`${seconds} s  ${text}`);
  };

  readonly #finding = (what: string): void => {
    this.#found.push(what);
    this.#note(`FOUND: ${what}`);
  };

  async #chaosAndCalm(): Promise<void> {
    const { seed, treeMilliseconds } = this.#options;
    const { authorities, folder, manager } = this.#federation;
    const [calm, over] = [new AbortController(), new AbortController()];
    const state = { faultsOver: false };
    this.#trees = new Trees(authorities, new Random(seed, 'trees'), treeMilliseconds);
    this.#elections = new Elections({
      manager,
      authorities,
      random: new Random(seed, 'elections'),
      folder,
      note: this.#note,
      found: this.#finding,
    });
    const trees = this.#trees.run(calm.signal);
    const elections = this.#elections.run(() => state.faultsOver, over.signal);
    await this.#inflictAll();
    state.faultsOver = true;
    const [since, deadline] = [Date.now(), performance.now() + REST_SECONDS * 1000];
    this.#note('the faults are over');
    const timer = setTimeout(() => over.abort(), REST_SECONDS * 1000);
    await this.#recovers(since);
    calm.abort();
    await Promise.all([trees, elections]);
    clearTimeout(timer);
    await this.#comesToRest(since, deadline);
  }

  async #inflictAll(): Promise<void> {
    const { seed, minutes } = this.#options;
    const { authorities, diskProblem } = this.#federation;
    if (diskProblem !== null) this.#skipped['full disk'] = diskProblem;
    if (process.platform !== 'linux')
      for (const kind of ['crash backend', 'freeze database'] as const)
        this.#skipped[kind] = 'the processes of a database are found by /proc, which only Linux has';
    for (const [kind, why] of Object.entries(this.#skipped)) this.#note(`left out: ${kind}: ${why}`);
    const possible = (Object.keys(FAULTS) as FaultKind[]).filter((kind) => this.#skipped[kind] === undefined);
    const plan = planFaults(seed, minutes * 60, authorities.length, possible);
    const faults = new Faults({
      authorities,
      link: (from, to) => this.#federation.link(from, to),
      note: this.#note,
    });
    this.#faults = faults;
    const began = performance.now();
    const inflicted = plan.map(async (fault) => {
      await pause(Math.max(0, fault.at * 1000 - (performance.now() - began)));
      await faults.inflict(fault);
      this.#counts[fault.kind] = (this.#counts[fault.kind] ?? 0) + 1;
    });
    await Promise.all(inflicted);
  }

  /** On every node, handlers take effect again soon: the stream of trees goes on meanwhile. */
  async #recovers(since: number): Promise<void> {
    const look = async (): Promise<void> => {
      for (const { name, database } of this.#federation.authorities) {
        if (this.#firstProgress[name] != null) continue;
        const rows = await database
          .rows<{ first: Date | null }>(
            'select min(written) as first from chaos_effects where written > $1',
            [new Date(since)],
          )
          .catch(() => []);
        const first = rows[0]?.first;
        this.#firstProgress[name] = first == null ? null : (first.getTime() - since) / 1000;
      }
    };
    const missing = () => Object.values(this.#firstProgress).some((first) => first === null);
    do {
      await pause(LOOK_MILLISECONDS);
      await look();
    } while (missing() && Date.now() < since + 3 * RECOVERY_SECONDS * 1000);
    for (const [name, first] of Object.entries(this.#firstProgress)) {
      if (first === null) this.#finding(`${name} made no progress within ${3 * RECOVERY_SECONDS} s`);
      else if (first > RECOVERY_SECONDS)
        this.#finding(`${name} made its first progress only after ${first.toFixed(1)} s`);
      else this.#note(`${name} made its first progress after ${first.toFixed(2)} s`);
    }
  }

  async #comesToRest(since: number, deadline: number): Promise<void> {
    const { authorities } = this.#federation;
    for (;;) {
      const left = await Promise.all(authorities.map((authority) => unrest(authority).catch(() => null)));
      if (left.every((number) => number === 0)) break;
      if (performance.now() > deadline) {
        this.#finding(`not at rest ${REST_SECONDS} s after the last fault: ${left.join(', ')} are left`);
        return;
      }
      await pause(LOOK_MILLISECONDS);
    }
    this.#rest = (Date.now() - since) / 1000;
    this.#note(`everything has come to an end ${this.#rest.toFixed(1)} s after the last fault`);
  }

  async #check(): Promise<void> {
    const nodes = await Promise.all(this.#federation.authorities.map(readNode));
    this.#tasks = nodes.reduce((sum, { tasks }) => sum + tasks.length, 0);
    const wrong = violations(nodes, this.#trees!.asked);
    for (const authority of this.#federation.authorities)
      wrong.push(...trailViolations(authority.name, await readTrail(authority)));
    for (const each of wrong.slice(0, MAX_SHOWN)) this.#finding(each);
    if (wrong.length > MAX_SHOWN) this.#finding(`and ${wrong.length - MAX_SHOWN} more of the kind`);
    await this.#elections!.check();
    for (const election of this.#elections!.outcomes) this.#checkFailure(election);
  }

  /** An election fails only for a reason that a full disk gives, and says so. */
  #checkFailure({ id, state, from, to, reason }: ElectionOutcome): void {
    if (state !== 'failed') return;
    const full = this.#faults!.diskFull.some((disk) => disk.from < to && disk.to > from);
    if (full && /ENOSPC|no space left/i.test(reason ?? '')) return;
    this.#finding(`election ${id} failed: ${reason}`);
  }

  async #summary(logs: Record<string, LogSummary>): Promise<Summary> {
    const { seed, minutes, keep } = this.#options;
    const ok = this.#found.length === 0;
    if (ok && !keep) await this.#federation.erase();
    const asked = this.#trees?.asked ?? [];
    return {
      ok,
      seed,
      minutes,
      violations: this.#found,
      faults: this.#counts,
      skipped: this.#skipped,
      elections: this.#elections?.outcomes ?? [],
      trees: {
        asked: asked.length,
        created: asked.filter(({ id }) => id !== null).length,
        tasks: this.#tasks,
      },
      recovery: { firstProgress: this.#firstProgress, rest: this.#rest },
      logs,
      seconds: Math.round((performance.now() - this.#started) / 100) / 10,
      folder: ok && !keep ? null : this.#federation.folder,
    };
  }
}
