/** `conclave init FOLDER`: everything that a new node needs, made at once. */
import type { Command } from 'commander';
import type { KeyType } from '../node/certificates.ts';
import { type MadeNode, makeNode } from '../node/new-node.ts';
import { readableFingerprint } from '../protocol/certificate.ts';
import { fingerprintWords } from '../protocol/fingerprint-words.ts';
import { normalisePeerUrl } from '../protocol/peer-url.ts';
import { UsageError } from './outcome.ts';
import type { Terminal } from './terminal.ts';

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
