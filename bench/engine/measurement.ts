/*
 * Processor time and memory of the processes of a benchmark, from /proc, and how a measurement is printed. Without
 * /proc (not on Linux) times and sizes are absent, and the rates remain.
 */
import { readdir, readFile } from 'node:fs/promises';

/** Of the clock in which /proc counts; Linux shows 100 ticks a second to every program. */
const MICROSECONDS_PER_TICK = 10_000;

/** What a scenario answers. */
export interface Measurement {
  readonly tasks: number;
  readonly seconds: number;
  /** Of single tasks, in milliseconds; empty: they were not taken one by one. */
  readonly latencies: readonly number[];
  /** Processor time in microseconds by process: `a`, and `a's PostgreSQL`. */
  readonly cpu: Readonly<Record<string, number>>;
  /** The most memory that a node's process has had so far, in MiB. */
  readonly memory: Readonly<Record<string, number>>;
  /** Single-row durable commits a second of the first node's PostgreSQL, in the same run. */
  readonly baseline: number;
  /** Further figures of the scenario, by name. */
  readonly further?: Readonly<Record<string, number>>;
}

/** The form that `--json` prints. */
export interface Figures {
  readonly scenario: string;
  readonly tasks_per_second: number;
  readonly p50_ms: number | null;
  readonly p99_ms: number | null;
  readonly cpu_us_per_task: number | null;
  readonly baseline_commits_per_second: number;
  readonly ratio: number;
  readonly cpu_us_per_task_by_process: Readonly<Record<string, number>>;
  readonly memory_mib: Readonly<Record<string, number>>;
  readonly further: Readonly<Record<string, number>>;
}

export function figuresOf(scenario: string, measured: Measurement): Figures {
  const { tasks, seconds, latencies, cpu, memory, baseline, further = {} } = measured;
  const rate = tasks / seconds;
  const sorted = [...latencies].sort((one, other) => one - other);
  const perTask = Object.entries(cpu).map(([name, spent]) => [name, round(spent / tasks)] as const);
  const total = Object.values(cpu).reduce((sum, spent) => sum + spent, 0);
  return {
    scenario,
    tasks_per_second: round(rate),
    p50_ms: percentile(sorted, 0.5),
    p99_ms: percentile(sorted, 0.99),
    cpu_us_per_task: perTask.length === 0 ? null : round(total / tasks),
    baseline_commits_per_second: round(baseline),
    ratio: round(rate / baseline),
    cpu_us_per_task_by_process: Object.fromEntries(perTask),
    memory_mib: memory,
    further,
  };
}

export function percentile(sorted: readonly number[], share: number): number | null {
  if (sorted.length === 0) return null;
  return round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!);
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}

/** For people: one scenario. */
export function describe(figures: Figures): string {
  const { scenario, p50_ms: p50, p99_ms: p99, baseline_commits_per_second: baseline } = figures;
  const latency = p50 === null ? '' : `; median ${p50} ms, p99 ${p99} ms`;
  const ratio = `${figures.ratio} of the ${baseline} single commits/s of this PostgreSQL`;
  const parts = (values: Readonly<Record<string, number>>) =>
    Object.entries(values)
      .map(([name, value]) => `${name} ${value}`)
      .join(', ');
  const lines = [`${scenario}: ${figures.tasks_per_second} tasks/s${latency}; ${ratio}`];
  if (figures.cpu_us_per_task !== null)
    lines.push(
      `  CPU µs per task: ${figures.cpu_us_per_task} (${parts(figures.cpu_us_per_task_by_process)})`,
    );
  if (Object.keys(figures.memory_mib).length > 0)
    lines.push(`  memory at most, MiB: ${parts(figures.memory_mib)}`);
  if (Object.keys(figures.further).length > 0) lines.push(`  ${parts(figures.further)}`);
  return `${lines.join('\n')}\n`;
}

/** Processor time of one process, in microseconds; null: not to be had. */
export async function processorTime(pid: number): Promise<number | null> {
  const stat = await statOf(pid);
  return stat === null ? null : (stat.utime + stat.stime) * MICROSECONDS_PER_TICK;
}

/**
 * Processor time of a PostgreSQL server with all of its processes: those that live, and, as counted in their parent, those
 * that have ended.
 */
export async function serverProcessorTime(postmaster: number): Promise<number | null> {
  const main = await statOf(postmaster);
  if (main === null) return null;
  let ticks = main.utime + main.stime + main.cutime + main.cstime;
  for (const entry of await readdir('/proc')) {
    const stat = /^\d+$/.test(entry) ? await statOf(Number(entry)) : null;
    if (stat?.parent === postmaster) ticks += stat.utime + stat.stime;
  }
  return ticks * MICROSECONDS_PER_TICK;
}

export async function parentOf(pid: number): Promise<number | null> {
  return (await statOf(pid))?.parent ?? null;
}

/** The most memory that the process has had, in MiB; null: not to be had. */
export async function peakMemory(pid: number): Promise<number | null> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const kib = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1];
  return kib === undefined ? null : Math.round(Number(kib) / 1024);
}

async function statOf(pid: number) {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
  if (text === null) return null;
  // The second field, a name in brackets, may contain anything.
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const [utime = 0, stime = 0, cutime = 0, cstime = 0] = fields.slice(11, 15);
  return { parent: fields[1] ?? 0, utime, stime, cutime, cstime };
}
