/**
 * `conclave init FOLDER`: everything that a new node needs, made at once: settings, certificate with its key, the key that
 * encrypts secrets at rest. Never overwrites anything.
 */
import { randomBytes } from 'node:crypto';
import { access, chmod, mkdir, open } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { ConclaveError } from '../errors.ts';
import { createNodeCertificate, type KeyType, writeNodeCertificate } from '../node/certificates.ts';
import { fingerprintWords } from '../node/fingerprint-words.ts';
import { parseSettings } from '../node/settings.ts';
import { readableFingerprint } from '../protocol/certificate.ts';
import { normalisePeerUrl } from '../protocol/peerUrl.ts';
import { UsageError } from './outcome.ts';
import type { Terminal } from './terminal.ts';

export interface NewNode {
  readonly folder: string;
  readonly name: string;
  /** Root URL of its queues. */
  readonly url: string;
  readonly keyType: KeyType;
  readonly days?: number | undefined;
  /** Address on which the federation port listens. */
  readonly host?: string | undefined;
  readonly healthPort?: number | undefined;
  /** Further settings, as in the file. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

export interface MadeNode {
  readonly name: string;
  readonly url: string;
  readonly folder: string;
  readonly settings: string;
  readonly fingerprint: string;
}

/** @throws ConclaveError `usage`, `invalid_settings`, `invalid_request` */
export async function makeNode(node: NewNode): Promise<MadeNode> {
  const folder = resolve(node.folder);
  const file = join(folder, 'conclave.json');
  const { hostname, port } = new URL(node.url);
  const settings = {
    name: node.name,
    root_url: node.url,
    public_url: `${new URL(node.url).origin}/public_data`,
    listen: {
      federation: { host: node.host ?? '0.0.0.0', port: port === '' ? 443 : Number(port) },
      health: { host: '127.0.0.1', port: node.healthPort ?? 5001 },
    },
    ...node.settings,
  };
  const parsed = parseSettings(settings, file, {});
  if (await exists(file)) {
    throw new ConclaveError('usage', {
      reason: `${file} exists already: choose another folder, or remove it`,
    });
  }
  await mkdir(folder, { recursive: true, mode: 0o711 });
  const host = hostname.replace(/^\[|\]$/g, '');
  const made = await createNodeCertificate({
    name: node.name,
    hosts: [host],
    keyType: node.keyType,
    validityDays: node.days,
  });
  await writeNodeCertificate(made, parsed.tls);
  await writeNew(parsed.key_encryption.key_file, randomBytes(32), 0o600);
  await mkdir(parsed.data_folder, { recursive: true, mode: 0o700 });
  await chmod(parsed.data_folder, 0o700);
  await mkdir(parsed.public_folder, { recursive: true });
  // Last: a folder with settings is a complete one.
  await writeNew(file, `${JSON.stringify(settings, null, 2)}\n`, 0o644);
  return { name: node.name, url: node.url, folder, settings: file, fingerprint: made.fingerprint };
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}

async function writeNew(path: string, contents: string | Uint8Array, mode: number): Promise<void> {
  const file = await open(path, 'wx', mode).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
    throw new ConclaveError('usage', { reason: `${path} exists already, and is not overwritten` });
  });
  try {
    await file.chmod(mode);
    await file.writeFile(contents);
    await file.sync();
  } finally {
    await file.close();
  }
}

const KEY_TYPES: Readonly<Record<string, KeyType>> = { ecdsa: 'ecdsa-p256', rsa: 'rsa-2048' };

interface InitOptions {
  name: string;
  url?: string;
  host: string;
  port: number;
  listen?: string;
  healthPort?: number;
  keyType: string;
  days?: number;
  json?: boolean;
}

export function addInit(program: Command, terminal: Terminal, whole: (text: string) => number): void {
  program
    .command('init')
    .argument('<folder>', 'folder of the new node; made if need be')
    .description('make a new node: settings, certificate and keys')
    .requiredOption('--name <name>', 'name of the node, as peers will see it')
    .option('--url <url>', 'URL under which peers reach it: https://host:port/api/queues')
    .option('--host <host>', 'host name or address for the URL, when --url is not given', '127.0.0.1')
    .option('--port <port>', 'port for the URL, when --url is not given', whole, 5000)
    .option('--listen <address>', 'address to listen on (default: every one)')
    .option('--health-port <port>', 'port of /healthz, /readyz and /metrics (default: 5001)', whole)
    .option('--key-type <type>', `${Object.keys(KEY_TYPES).join(' or ')}`, 'ecdsa')
    .option('--days <days>', 'validity of the certificate (default: 825)', whole)
    .action(async (folder: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<InitOptions>();
      const keyType = KEY_TYPES[options.keyType];
      if (keyType === undefined) {
        throw new UsageError(
          `--key-type must be ${Object.keys(KEY_TYPES).join(' or ')}, not ${options.keyType}`,
        );
      }
      const host = options.host.includes(':') ? `[${options.host}]` : options.host;
      const url = normalisePeerUrl(options.url ?? `https://${host}:${options.port}/api/queues`);
      const { name, days, listen, healthPort } = options;
      const made = await makeNode({ folder, name, url, keyType, days, host: listen, healthPort });
      if (options.json) terminal.out(JSON.stringify({ ...made, words: fingerprintWords(made.fingerprint) }));
      else describeNewNode(made, terminal);
    });
}

function describeNewNode({ name, folder, settings, url, fingerprint }: MadeNode, terminal: Terminal): void {
  terminal.out(`The node ${name} is in ${folder}; peers reach it at ${url}.`);
  terminal.out(`Its certificate has the fingerprint ${readableFingerprint(fingerprint)}`);
  terminal.out(`  in words: ${fingerprintWords(fingerprint).join(' ')}`);
  terminal.out('');
  terminal.out('Next:');
  terminal.out(`  conclave start --settings ${settings}`);
  terminal.out(`  conclave peers export --settings ${settings} > ${name.replace(/\W+/g, '-')}.peer.json`);
  terminal.out(
    '  conclave peers add FILE --settings … (the file of each peer; compare fingerprints by telephone)',
  );
}
