/**
 * Guards, taken out one by one: a simulation that does not notice is worth nothing. A mutation replaces a piece of the
 * source while it is loaded; nothing in the production code knows of it. Each mutant is a module graph of its own,
 * told apart by the query of its URLs.
 */
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';

export interface Mutation {
  name: string;
  /** What of the source is replaced; each piece must occur exactly once. */
  pieces: readonly { file: string; from: string; to: string }[];
  /** Where it should be found out. */
  scenarios: readonly string[];
}

export const MUTATIONS: readonly Mutation[] = [
  {
    name: 'fencing',
    pieces: [
      {
        file: 'lib/engine/unit-of-work.ts',
        from: 'task.workerId !== claim.workerId || task.fence !== claim.fence',
        to: 'false',
      },
    ],
    scenarios: ['takeover'],
  },
  {
    name: 'inbox',
    pieces: [
      { file: 'lib/engine/applier.ts', from: 'if (status === 503) return receipt;', to: 'return receipt;' },
    ],
    scenarios: ['external'],
  },
  {
    name: 'epoch',
    pieces: [
      {
        file: 'lib/engine/rules/reservations.ts',
        from: 'if (event.epoch !== null && event.epoch !== task.epoch)\n    return ignored(`a reservation',
        to: 'if (event.epoch === -1)\n    return ignored(`a reservation',
      },
    ],
    scenarios: ['directors'],
  },
  {
    name: 'finality',
    pieces: [
      {
        file: 'lib/engine/transitions.ts',
        from: "finished: { query: rule<'query'>(['finished'], 'the sender is told the state', flow.query) },",
        to: "finished: { ...always('finished'), update },",
      },
      {
        file: 'lib/engine/transitions.ts',
        from: 'if (hasEnded(task) && Object.keys(outcome.changes).length > 0)',
        to: 'if (Number.isNaN(0))',
      },
      {
        file: 'lib/engine/transitions.ts',
        from: 'if (!found.to.includes(next))',
        to: 'if (Number.isNaN(0))',
      },
    ],
    scenarios: ['expiration'],
  },
  {
    name: 'outbox',
    pieces: [
      {
        file: 'lib/engine/unit-of-work.ts',
        from: 'await this.#transaction.recordOutgoing(this.#messages, now);',
        to: 'void (this.#transaction as any).recordApart(this.#messages, now);',
      },
      {
        file: 'test/simulation/memory-store.ts',
        from: '    withdraw: (ids) =>',
        to: `    recordApart: async (messages: any, now: any) => {
      const apart = new MemoryTransaction((transaction as any).database);
      await gate.pass<void>('alone', (answer) => {
        apart.recordOutgoing(messages, now);
        answer(apart.commit());
      }).catch(() => {});
    },
    withdraw: (ids) =>`,
      },
      {
        file: 'test/simulation/memory-transaction.ts',
        from: '    this.#database = database;',
        to: '    this.#database = database;\n    (this as any).database = database;',
      },
    ],
    scenarios: ['quorum'],
  },
  {
    name: 'peer',
    pieces: [
      {
        file: 'lib/engine/incoming.ts',
        from: 'if (task.peerId !== message.peerId || !mayBe(task))',
        to: 'if (!mayBe(task))',
      },
    ],
    scenarios: ['creation'],
  },
];

/** Defects that simulation has found, put back: their seeds must find them again. */
export const REVERSIONS: readonly Mutation[] = [
  {
    name: 'slots',
    pieces: [
      {
        file: 'lib/engine/rules/flow.ts',
        from: "return task.slot && task.job !== 'reserve' && (task.job !== 'execute' || task.epoch > 0);",
        to: "return task.slot && task.job !== 'reserve' && task.job !== 'execute';",
      },
    ],
    scenarios: ['directors'],
  },
  {
    name: 'reads',
    pieces: [
      {
        file: 'lib/engine/execution.ts',
        from: 'await database(store, () => store.task(task.parentId!))',
        to: 'await store.task(task.parentId!)',
      },
    ],
    scenarios: ['takeover'],
  },
];

const ROOT = new URL('../../', import.meta.url).href;
let hooked = false;

/** The simulation over the mutated sources. @throws Error when a guard is not where it was */
export async function loadMutant({ name, pieces }: Mutation): Promise<typeof import('./simulation.ts')> {
  if (!hooked) hook();
  const mutant = await import(`./simulation.ts?mutant=${name}`);
  const missing = pieces.filter(({ file }) => !mutated.has(`${name} ${file}`));
  if (missing.length > 0) throw new Error(`not loaded: ${missing.map(({ file }) => file).join(', ')}`);
  return mutant;
}

const mutated = new Set<string>();

function hook(): void {
  hooked = true;
  registerHooks({
    resolve(specifier, context, next) {
      const resolved = next(specifier, context);
      const mutant = /[?&]mutant=(\w+)/.exec(context.parentURL ?? '')?.[1];
      const ours = resolved.url.startsWith(ROOT) && !resolved.url.includes('/node_modules/');
      if (mutant === undefined || !ours || resolved.url.includes('?')) return resolved;
      return { ...resolved, url: `${resolved.url}?mutant=${mutant}` };
    },
    load(url, context, next) {
      const loaded = next(url, context);
      const name = /[?&]mutant=(\w+)/.exec(url)?.[1];
      const mutation = [...MUTATIONS, ...REVERSIONS].find((one) => one.name === name);
      if (mutation === undefined) return loaded;
      const file = url.slice(ROOT.length).replace(/\?.*/, '');
      let source = String(loaded.source);
      for (const { from, to } of mutation.pieces.filter((piece) => piece.file === file)) {
        const parts = source.split(from);
        if (parts.length !== 2)
          throw new Error(
            `${fileURLToPath(ROOT)}${file} has ${parts.length - 1} times, not once: ${from}; adapt the mutation ${name}`,
          );
        source = parts.join(to);
        mutated.add(`${name} ${file}`);
      }
      return { ...loaded, source };
    },
  });
}
