/* What operators write: settings, environment, command lines. */
import fc from 'fast-check';
import { main } from '../../lib/cli/main.ts';
import { ConclaveError } from '../../lib/errors.ts';
import { parseSettings } from '../../lib/node/settings.ts';
import { leaves } from '../../lib/node/settings-environment.ts';
import { spoiledJson, spoiledText } from './mutations.ts';
import { type AnyTarget, Misbehaviour, target } from './target.ts';

const SETTINGS = {
  name: 'Authority One',
  root_url: 'https://one.example.org:5000/api/queues',
  data_folder: './private',
  database: {
    url: 'postgres://conclave@db.example.org/conclave',
    password_file: './password',
    pool_size: 10,
  },
  tls: { certificate: './cert.pem', key: './key.pem', minimum_version: 'TLSv1.3' },
  listen: { federation: { host: '0.0.0.0', port: 5000 }, health: { port: 5001 } },
  limits: { votes_bytes: '16 MiB', body_bytes: 1024 },
  queues: { mixnet_queue: { max_threads: 2 } },
  outgoing: { allowed: ['votes.example.org', '10.0.0.0/8'], allow_loopback: false },
};
const refused = (thrown: unknown): boolean =>
  thrown instanceof ConclaveError &&
  thrown.code === 'invalid_settings' &&
  Array.isArray(thrown.data.problems);

const VARIABLES = leaves().map(({ variable }) => variable);
const SUBCOMMAND = /^(?:demo|init|start|peers|why|verify|prune|ballots|log|console|help|[a-z][a-z-]*)$/;
const NOWHERE = '/nonexistent/conclave.json';

/** Original flags with values as people and scripts give them; none of them reaches a database. */
const words: fc.Arbitrary<string[]> = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '--tasks',
        '--messages',
        '--filters',
        '--limit',
        '-n',
        '--tree',
        '--with-parents',
        '--show-task',
        '--show-message',
        '--show-external',
        '--finish',
        '--show-activity',
        '--reset-tally',
        '--json',
        '-ll',
      ),
      spoiledText(
        'task_type=external',
        'status=executing',
        'queue=x',
        '__proto__=1',
        'constructor=1',
        '{"status":1}',
      ),
      fc.constantFrom('20', '-1', '1e9', '0x10', 'NaN', '9'.repeat(400), ''),
    ),
    { maxLength: 6 },
  )
  .map((given) => given.filter((word) => !SUBCOMMAND.test(word) && !word.includes('\0')));

export const nodeTargets: readonly AnyTarget[] = [
  target({
    name: 'settings',
    inputs: spoiledJson(SETTINGS),
    run: (raw) => parseSettings(raw, '/etc/conclave/conclave.json', {}),
    refuses: refused,
    cost: 4,
  }),
  target({
    name: 'environment',
    inputs: fc.array(
      fc.tuple(
        fc.oneof(fc.constantFrom(...VARIABLES), spoiledText(...VARIABLES.slice(0, 5))),
        fc.oneof(spoiledText('true', '16 MiB', '{"a": 1}', 'a,b', '5000'), fc.string({ unit: 'binary' })),
      ),
      { maxLength: 5 },
    ),
    run: (variables) => parseSettings(SETTINGS, '/etc/conclave/conclave.json', Object.fromEntries(variables)),
    refuses: refused,
    cost: 4,
  }),
  target({
    name: 'command line',
    inputs: words,
    async run(given) {
      let said = '';
      const take = (text: string): void => {
        said += text;
      };
      const paint = (_style: unknown, text: string): string => text;
      const terminal = { out: take, note: take, paint, interactive: false, environment: {} };
      const code = await main([...given, '--settings', NOWHERE], terminal);
      if (code === 0 && !/Usage|conclave/.test(said)) throw new Misbehaviour(`it worked: ${said}`);
      if (said.includes('internal_error')) throw new Misbehaviour(`an internal error: ${said}`);
    },
    refuses: () => false,
    cost: 8,
  }),
];
