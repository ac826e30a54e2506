/*
 * Every setting of a node (D53): its key, type, default and description. docs/settings.md is generated from here, and
 * so are the names of the environment variables; a setting that is not here does not exist.
 *
 * Secrets are never written into the settings file, which operators show to each other when something does not work:
 * a setting names the file that holds the secret.
 */
import { BlockList, isIP } from 'node:net';
import { z } from 'zod';
import { normalisePeerUrl } from '../protocol/peer-url.ts';

const KIB = 1024;
const UNITS = { B: 1, KiB: KIB, MiB: KIB ** 2, GiB: KIB ** 3, TiB: KIB ** 4 } as const;

/** A number of bytes: an integer, or a string with a unit. */
const bytes = z
  .union([z.int().positive(), z.string().regex(/^\d+ ?(?:B|KiB|MiB|GiB|TiB)$/, 'must look like 16 MiB')])
  .transform((value) => {
    if (typeof value === 'number') return value;
    const [, count, unit] = /^(\d+) ?(\w+)$/.exec(value)!;
    return Number(count) * UNITS[unit as keyof typeof UNITS];
  })
  .refine((value) => Number.isSafeInteger(value) && value > 0, 'is out of range');

const port = z.int().min(0).max(65_535);
const host = z.string().regex(/^[A-Za-z0-9:.%_-]{1,255}$/, 'must be an IP address or a host name');
/** A path that is a path: a key pasted in its place must not stay in the settings. */
const path = z
  .string()
  .min(1)
  .max(4096)
  .superRefine((text, context) => {
    if (text.includes('-----BEGIN')) {
      context.addIssue({ code: 'custom', message: 'must be the path of a file, not its contents' });
    } else if (/[\0\n]/.test(text)) {
      context.addIssue({ code: 'custom', message: 'must be a path of one line' });
    }
  });

function isNetwork(text: string): boolean {
  const [address = '', prefix, ...rest] = text.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  if (prefix === undefined) return true;
  if (!/^\d{1,3}$/.test(prefix)) return false;
  try {
    new BlockList().addSubnet(address, Number(prefix), family === 4 ? 'ipv4' : 'ipv6');
    return true;
  } catch {
    return false;
  }
}

const HOST_NAME =
  /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/;

const network = z.string().refine(isNetwork, 'must be an IP address or a network such as 10.0.0.0/8');
const networkOrHost = z
  .string()
  .refine(
    (text) => isNetwork(text) || HOST_NAME.test(text),
    'must be a host name in lower case, an IP address, or a network such as 10.0.0.0/8 (no URL, port or *)',
  );

const rootUrl = z.string().superRefine((text, context) => {
  try {
    const normal = normalisePeerUrl(text);
    if (!normal.endsWith('/api/queues')) {
      context.addIssue({
        code: 'custom',
        message: 'must end with /api/queues, as https://host:5000/api/queues',
      });
    } else if (normal !== text) {
      context.addIssue({ code: 'custom', message: `must be written as ${normal}` });
    }
  } catch (error) {
    const message = (error as Error).message.replace(/^.*url: /, '');
    context.addIssue({ code: 'custom', message: `${message}; it looks like https://host:5000/api/queues` });
  }
});

const publicUrl = z
  .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
  .refine((text) => !URL.parse(text)?.search && !URL.parse(text)?.hash, 'must have no query and no fragment');

const databaseUrl = z.string().superRefine((text, context) => {
  const url = URL.parse(text);
  if (url === null || !['postgres:', 'postgresql:'].includes(url.protocol)) {
    context.addIssue({ code: 'custom', message: 'must look like postgres://user@host:5432/database' });
  } else if (url.password !== '' || url.searchParams.has('password')) {
    context.addIssue({
      code: 'custom',
      message: 'must not contain the password: put it into a file and name that in database.password_file',
    });
  }
});

const seconds = z.number().positive().max(31_536_000);

const listener = (defaults: { host: string; port: number }) =>
  z
    .strictObject({
      host: host
        .default(defaults.host)
        .describe('Address to listen on. `0.0.0.0` is every one of IPv4, `::` of IPv6 too.'),
      port: port.default(defaults.port).describe('Port; 0 lets the system choose one.'),
    })
    .prefault({});

const embedded = z
  .strictObject({
    folder: path
      .default('./database')
      .describe(
        'Folder of the embedded database. When root runs the node and the folder cannot be reached by the ' +
          "server's account, data go to /var/lib/conclave; `place.json` in the folder says where.",
      ),
    binaries: path
      .optional()
      .describe(
        'Where `initdb` and `postgres` are: a directory, `system` or `npm`. Unset: PATH, the packages of the ' +
          "system (newest first), npm's, in this order.",
      ),
    account: z
      .string()
      .regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]*\$?$/, 'must be the name of an account')
      .optional()
      .describe('Account under which root runs the server. Unset: `postgres`, else `nobody`.'),
    start_seconds: seconds
      .default(60)
      .describe(
        'How long to wait for the server to start or stop; recovery after a power failure may take long.',
      ),
  })
  .prefault({});

const database = z
  .strictObject({
    url: databaseUrl
      .optional()
      .describe(
        'Any PostgreSQL, 13 or newer: `postgres://user@host/database?sslmode=verify-full`. Unset: embedded.',
      ),
    password_file: path.optional().describe('File that holds the password for `database.url`.'),
    pooler: z
      .boolean()
      .default(false)
      .describe('True when a pooler in transaction mode (PgBouncer) answers at `database.url`.'),
    direct_url: databaseUrl
      .optional()
      .describe('The database without the pooler, for notifications. Unset: with a pooler, the node polls.'),
    pool_size: z.int().min(2).max(500).default(10).describe('Connections of this process, at most.'),
    statement_seconds: seconds.default(30).describe('Time limit of one SQL statement.'),
    embedded,
  })
  .prefault({});

const GROUPS = ['P-256', 'modp-2048', 'modp-3072'] as const;
const MIXNETS = ['conclave', 'verificatum'] as const;

const program = (name: string) =>
  path.default(name).describe(`Verificatum's \`${name}\`: a path, or a name that is looked for in PATH.`);
const authority = /^(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$/;

const mixnet = z
  .strictObject({
    program: z
      .enum(MIXNETS)
      .default('conclave')
      .describe(
        'Mix-net of the elections that are requested here and name none. `verificatum`: the programs below, on every ' +
          'authority of the election; each must be set to them.',
      ),
    vmn: program('vmn'),
    vmni: program('vmni'),
    vmnc: program('vmnc'),
    vmnv: program('vmnv'),
    http: z
      .string()
      .regex(/^http:\/\/[^/\s]+:[0-9]{1,5}$/, 'must look like http://host:4081')
      .optional()
      .describe(
        'Address at which the `vmn` of the other authorities reach that of this one: `http://host:4081`.',
      ),
    hint: z
      .string()
      .regex(authority, 'must look like host:8081')
      .optional()
      .describe('Address of its hint server, UDP: `host:8081`.'),
    convert_seconds: seconds.default(600).describe('Time limit of `vmni` and `vmnc`.'),
    keygen_seconds: seconds.default(600).describe('Time limit of a key generation.'),
    mix_seconds: seconds.default(18_000).describe('Time limit of mixing and decrypting one question.'),
    verify_seconds: seconds.default(18_000).describe('Time limit of `vmnv`.'),
  })
  .prefault({});

const Sections = z.strictObject({
  name: z
    .string()
    .regex(/^[\p{L}\p{N}][\p{L}\p{N} ._-]{0,127}$/u, 'must be letters, digits, spaces and . _ -, at most 128')
    .describe('Name of this node, as peers and logs show it.'),
  root_url: rootUrl.describe(
    "URL of this node's own queues, as peers reach it: `https://host:port/api/queues`.",
  ),
  public_url: publicUrl
    .optional()
    .describe('URL below which the public folder can be downloaded. Unset: it is not offered.'),
  data_folder: path
    .default('./private')
    .describe(
      'Private data: key shares, work in progress. Made with mode 0700; back it up, show it to nobody.',
    ),
  public_folder: path.default('./public').describe('Published tallies and their proofs.'),
  database: database.describe('Where the state of the node is kept.'),
  listen: z
    .strictObject({
      federation: listener({ host: '0.0.0.0', port: 5000 }).describe('Peers: mutual TLS, or behind a proxy.'),
      api: listener({ host: '0.0.0.0', port: 5000 })
        .nullable()
        .default(null)
        .describe(
          'Election managers, on a port of their own (mutual TLS as well). Null: the federation port.',
        ),
      health: listener({ host: '127.0.0.1', port: 5001 }).describe(
        '`/healthz`, `/readyz` and metrics: plain HTTP, so keep it local or inside.',
      ),
    })
    .prefault({})
    .describe(
      'Addresses and ports on which the node listens. `api` is null unless election managers shall have a port of ' +
        'their own (mutual TLS as well).',
    ),
  console: z
    .strictObject({
      host: z
        .enum(['127.0.0.1', '::1'])
        .default('127.0.0.1')
        .describe(
          'Address of this machine itself: the console speaks plain HTTP, and nobody else shall hear it.',
        ),
      port: port.default(0).describe('Port; 0 lets the system choose one, which `conclave console` prints.'),
      enabled: z.boolean().default(true).describe('False: this node has no console.'),
    })
    .prefault({})
    .describe('The console for operators, opened with `conclave console`.'),
  approvals_required: z
    .int()
    .min(1)
    .max(2)
    .default(1)
    .describe('How many different operators must accept an election or a tally before it counts.'),
  tls: z
    .strictObject({
      certificate: path.default('./certificate.pem').describe("This node's certificate, which peers pin."),
      key: path.default('./key.pem').describe('Its private key, mode 0600.'),
      minimum_version: z
        .enum(['TLSv1.2', 'TLSv1.3'])
        .default('TLSv1.3')
        .describe(
          'Oldest version of TLS accepted and used. 1.2 only for an original peer behind an old gateway.',
        ),
    })
    .prefault({})
    .describe('Mutual TLS with peers.'),
  proxy: z
    .strictObject({
      addresses: z
        .array(network)
        .default([])
        .describe('Addresses or networks from which the header `X-Sender-SSL-Certificate` is believed.'),
      terminates_tls: z
        .boolean()
        .default(false)
        .describe('True when a proxy ends TLS and the federation port speaks plain HTTP.'),
    })
    .prefault({})
    .describe('A TLS-terminating proxy before the node.'),
  queues: z
    .record(
      z.string().regex(/^[A-Za-z0-9_.-]{1,128}$/, 'must be the name of a queue'),
      z.strictObject({
        max_threads: z
          .int()
          .min(1)
          .max(10_000)
          .optional()
          .describe('Tasks of the queue at a time, over all workers.'),
        max_waiting: z
          .int()
          .min(1)
          .optional()
          .describe('Tasks that may wait before new ones are refused with 503.'),
      }),
    )
    .default({})
    .describe(
      'Limits by queue: `{"say_queue": {"max_threads": 4}}`. A queue not named here has its own defaults.',
    ),
  reservation_timeout: seconds
    .default(60)
    .describe('How long a reservation of a synchronized task holds, in seconds.'),
  lease: z
    .number()
    .min(1)
    .max(3600)
    .default(5)
    .describe('Lease of a claimed task, in seconds: so long after the death of a worker others take over.'),
  retention_days: z
    .int()
    .min(1)
    .max(36_500)
    .optional()
    .describe(
      'Task trees that ended more than so many days ago are removed, and their messages a week later; once an hour. ' +
        'Elections, results and the audit trail stay. Unset: never.',
    ),
  auto_accept_requests: z
    .boolean()
    .default(false)
    .describe('True approves every request of a peer without a person. For demonstrations only.'),
  allow_multiple_tallies: z.boolean().default(false).describe('True allows an election to be tallied again.'),
  max_questions: z.int().min(1).max(1000).default(15).describe('Questions of one election, at most.'),
  tally_wait: seconds
    .default(30)
    .describe(
      'With a threshold below the number of authorities: how long a tally waits for the others once enough are ready.',
    ),
  tally_step: seconds
    .default(7200)
    .describe('How long an authority may take for one step of a tally before it is left out.'),
  default_group: z.enum(GROUPS).default('P-256').describe('Group of an election whose request names none.'),
  mixnet: mixnet.describe(
    "Verificatum's own programs in place of this node's mix-net (docs/elections.md). Unset, nothing of it is used.",
  ),
  limits: z
    .strictObject({
      body_bytes: bytes.prefault('16 MiB').describe('Body of one request; batches of messages included.'),
      votes_bytes: bytes.prefault('16 GiB').describe('File of votes of one election.'),
      async_data_bytes: bytes.prefault('16 GiB').describe('Bulk data that a message refers to.'),
    })
    .prefault({})
    .describe('Sizes in bytes, or as `"16 MiB"`.'),
  outgoing: z
    .strictObject({
      allowed: z
        .array(networkOrHost)
        .default([])
        .describe(
          'Hosts (exact names), addresses or networks to which callbacks go and from which votes come.',
        ),
      allow_loopback: z
        .boolean()
        .default(false)
        .describe('True allows this machine itself. For demonstrations.'),
    })
    .prefault({})
    .describe(
      'Requests that this node makes because somebody else asked (`callback_url`, `votes_url`). Peers need not be named.',
    ),
  log: z
    .strictObject({
      level: z.enum(['debug', 'info', 'error']).default('info').describe('As `--log-level`.'),
      file: path.optional().describe('File to append to, mode 0600. Unset: standard error.'),
    })
    .prefault({})
    .describe('The log: one JSON object a line, without secrets.'),
  key_encryption: z
    .strictObject({
      key_file: path
        .default('./key-encryption.key')
        .describe(
          '32 random bytes, mode 0600, made by `conclave init`. Without it key shares cannot be read.',
        ),
    })
    .prefault({})
    .describe('Encryption of key shares at rest.'),
});

type Sections = z.output<typeof Sections>;
/** What is left of settings when some of them are wrong: everything may be missing. */
type Partly<T> = T extends object ? { readonly [K in keyof T]?: Partly<T[K]> | undefined } : T;

interface Rule {
  readonly path: readonly string[];
  readonly message: string;
  readonly broken: (settings: Partly<Sections>) => boolean;
}

const NEEDS_URL = 'has no meaning without database.url';

/** What no single setting shows. Checked even when others are wrong, so that every problem is named at once. */
const RULES: readonly Rule[] = [
  {
    path: ['mixnet', 'http'],
    message: 'must be set, and mixnet.hint with it, when mixnet.program is verificatum',
    broken: ({ mixnet: set }) =>
      set?.program === 'verificatum' && (set.http === undefined || set.hint === undefined),
  },
  {
    path: ['proxy', 'addresses'],
    message: 'must name the proxy when proxy.terminates_tls is true',
    broken: ({ proxy }) => proxy?.terminates_tls === true && proxy.addresses?.length === 0,
  },
  {
    path: ['database', 'password_file'],
    message: NEEDS_URL,
    broken: ({ database: db }) => db?.password_file !== undefined && db.url === undefined,
  },
  {
    path: ['database', 'direct_url'],
    message: NEEDS_URL,
    broken: ({ database: db }) => db?.direct_url !== undefined && db.url === undefined,
  },
  {
    path: ['database', 'pooler'],
    message: NEEDS_URL,
    broken: ({ database: db }) => db?.pooler === true && db.url === undefined,
  },
  {
    path: ['listen'],
    message: 'has one port twice',
    broken: ({ listen }) => {
      const ports = [listen?.federation?.port, listen?.api?.port, listen?.health?.port].filter(
        (each) => each,
      );
      return new Set(ports).size < ports.length;
    },
  },
];

export const SettingsSchema = RULES.reduce(
  (schema, rule) =>
    schema.refine((settings) => !rule.broken(settings ?? {}), {
      path: [...rule.path],
      error: rule.message,
      when: () => true,
    }),
  Sections,
);

/** Validated settings; paths as written. */
export type RawSettings = Sections;

/** Settings that are paths, resolved against the folder of the settings file. */
export const PATH_SETTINGS = [
  ['data_folder'],
  ['public_folder'],
  ['database', 'password_file'],
  ['database', 'embedded', 'folder'],
  ['tls', 'certificate'],
  ['tls', 'key'],
  ['log', 'file'],
  ['key_encryption', 'key_file'],
] as const;
