/**
 * `conclave peers …`: who this node's peers are (D22). One file each way makes two nodes known to each other; the
 * fingerprint is compared by telephone; nothing needs a restart.
 */
import { readFile, writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { ConclaveError } from '../errors.ts';
import { loadIdentity } from '../node/identity.ts';
import {
  fingerprintOf,
  normaliseFingerprint,
  parseCertificate,
  readableFingerprint,
} from '../protocol/certificate.ts';
import { fingerprintWords, readFingerprintWords } from '../protocol/fingerprint-words.ts';
import { PEER_ROLES, type PeerDescription, readPeerFile, writePeerFile } from '../protocol/peer-file.ts';
import type { Peer, PeerDirectory } from '../protocol/peers.ts';
import type { PeerRole } from '../store/peers.ts';
import { type GlobalOptions, settingsOf, withPeers } from './node-access.ts';
import { demandYes } from './operator-access.ts';
import { CommandFailed, EXIT, type ExitCode, UsageError } from './outcome.ts';
import { checkPeers } from './peers-check.ts';
import { table } from './table.ts';
import { harmless, type Terminal } from './terminal.ts';

interface PeerOptions extends GlobalOptions {
  role?: string[];
  name?: string;
  url?: string;
  out?: string;
  certificate?: string;
  fingerprint?: string;
  yes?: boolean;
  complete?: boolean;
}

export function addPeers(program: Command, terminal: Terminal, ended: (code: ExitCode) => void): void {
  const peers = program
    .command('peers')
    .description('the peers of this node: who is trusted, by which certificate');
  const roles = `${PEER_ROLES.join(', ')}`;
  peers
    .command('list')
    .description('show all peers, and how the connection to each stands')
    .action((_: unknown, command: Command) => list(command.optsWithGlobals(), terminal));
  peers
    .command('export')
    .description("write this node's peer file, for the operators of the others")
    .option('--role <role...>', `what this node asks to be for them: ${roles}`, ['authority'])
    .option('--out <file>', 'file to write (default: standard output)')
    .action((_: unknown, command: Command) => exportSelf(command.optsWithGlobals(), terminal));
  peers
    .command('add')
    .argument('[file]', "the peer's file")
    .description('trust a peer from now on')
    .option('--name <name>', 'call the peer so here')
    .option('--role <role...>', `what the peer may do here: ${roles} (default: what its file asks for)`)
    .option('--url <url>', 'its URL, with --certificate')
    .option('--certificate <pem>', 'its certificate, when it has no peer file: a node of the original system')
    .option('--fingerprint <text>', 'the fingerprint that its operator told you, in hex or words')
    .option('--yes', 'do not ask; the fingerprint was compared')
    .action((file: string | undefined, _: unknown, command: Command) =>
      add(file, command.optsWithGlobals(), terminal),
    );
  peers
    .command('remove')
    .argument('<peer>', 'name, id, URL or fingerprint')
    .description('trust a peer no longer')
    .action((name: string, _: unknown, command: Command) =>
      remove(name, command.optsWithGlobals(), terminal),
    );
  peers
    .command('rotate')
    .argument('<peer>', 'name, id, URL or fingerprint')
    .argument('[file]', 'its new peer file, or its new certificate (PEM)')
    .description(
      "accept a peer's new certificate beside the old one; --complete ends the acceptance of the old one",
    )
    .option('--complete', 'accept only the newest certificate from now on')
    .option('--fingerprint <text>', 'the fingerprint that its operator told you, in hex or words')
    .option('--yes', 'do not ask; the fingerprint was compared')
    .action((name: string, file: string | undefined, _: unknown, command: Command) =>
      rotate(name, file, command.optsWithGlobals(), terminal),
    );
  peers
    .command('check')
    .argument('[peer...]', 'only these')
    .description('connect to each peer and say what is wrong, at which end')
    .action(async (names: string[], _: unknown, command: Command) => {
      const allWell = await checkPeers(names, command.optsWithGlobals(), terminal);
      ended(allWell ? EXIT.ok : EXIT.failure);
    });
}

async function list(options: GlobalOptions, terminal: Terminal): Promise<void> {
  await withPeers(options, terminal, async (peers) => {
    if (options.json) return terminal.out(JSON.stringify(peers.list().map(shown), null, 2));
    const rows = peers
      .list()
      .map((peer) => [
        peer.name,
        peer.url ?? '',
        peer.roles.join(', '),
        stateOf(peer),
        peer.dialect,
        peer.certificates.map(({ fingerprint }) => fingerprint.slice(0, 16)).join(' '),
        peer.certificates.map(({ not_after }) => not_after.slice(0, 10)).join(' '),
      ]);
    terminal.out(table(['name', 'url', 'roles', 'state', 'dialect', 'fingerprint', 'valid until'], rows));
    if (rows.length === 0) terminal.note('There are no peers yet. Add one with: conclave peers add FILE');
    for (const { name, lastError } of peers.list()) {
      if (lastError !== null) terminal.note(harmless(`${name}: ${lastError}`));
    }
  });
}

function stateOf({ url, downSince, lastContact }: Peer): string {
  if (downSince !== null) return `down since ${downSince.toISOString().slice(0, 19)}Z`;
  if (lastContact === null) return url === null ? 'calls only' : 'not tried yet';
  return 'up';
}

function shown(peer: Peer) {
  const certificates = peer.certificates.map(({ fingerprint, not_after }) => ({ fingerprint, not_after }));
  return { ...peer, certificates };
}

async function exportSelf(options: PeerOptions, terminal: Terminal): Promise<void> {
  const settings = await settingsOf(options, terminal);
  const identity = await loadIdentity(settings);
  const text = writePeerFile(
    {
      name: settings.name,
      url: settings.root_url,
      roles: rolesOf(options.role ?? ['authority']),
      certificate: identity.certificate,
    },
    identity.privateKey,
  );
  if (options.out === undefined) terminal.out(text.trimEnd());
  else await writeFile(options.out, text, { flag: 'wx' });
  terminal.note(`Fingerprint: ${readableFingerprint(identity.fingerprint)}`);
  terminal.note(`In words:    ${fingerprintWords(identity.fingerprint).join(' ')}`);
  terminal.note('Read it to the operators who add this file.');
}

function rolesOf(texts: readonly string[]): PeerRole[] {
  return texts
    .flatMap((text) => text.split(','))
    .map((text) => {
      const role = PEER_ROLES.find((each) => each === text.trim());
      if (role === undefined) throw new UsageError(`--role must be of ${PEER_ROLES.join(', ')}, not ${text}`);
      return role;
    });
}

async function add(file: string | undefined, options: PeerOptions, terminal: Terminal): Promise<void> {
  const described = await description(file, options);
  const roles = options.role === undefined ? described.roles : rolesOf(options.role);
  const name = options.name ?? described.name;
  await confirm(
    described.fingerprint,
    `Trust ${name} (${described.url ?? 'no URL'}) as ${roles.join(', ')}?`,
    options,
    terminal,
  );
  await withPeers(options, terminal, async (peers, settings) => {
    if ((await loadIdentity(settings)).fingerprint === described.fingerprint) {
      throw new UsageError(
        'that is the file of this node itself: give it to the others, and add theirs here',
      );
    }
    const added = await peers.add({ name, url: described.url, certificates: [described.certificate], roles });
    if (options.json) terminal.out(JSON.stringify(shown(added)));
    else terminal.out(harmless(`${added.name} is a peer of ${settings.name} now.`));
  });
}

async function description(file: string | undefined, options: PeerOptions): Promise<PeerDescription> {
  if (file !== undefined && options.certificate === undefined) return readPeerFile(await bytesOf(file));
  if (file !== undefined || options.certificate === undefined) {
    throw new UsageError('give either the peer file, or --certificate with --name (and --url)');
  }
  if (options.name === undefined) throw new UsageError('--certificate needs --name');
  const certificate = parseCertificate((await bytesOf(options.certificate)).toString('utf8'));
  return {
    name: options.name,
    url: options.url ?? null,
    roles: rolesOf(options.role ?? ['authority']),
    certificate: certificate.toString(),
    fingerprint: fingerprintOf(certificate.raw),
  };
}

async function bytesOf(file: string): Promise<Buffer> {
  return await readFile(file).catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(`${file} cannot be read: ${error.message}`);
  });
}

/** Nobody is trusted whose fingerprint was not compared: told beforehand, or asked for now. */
async function confirm(
  fingerprint: string,
  question: string,
  options: PeerOptions,
  terminal: Terminal,
): Promise<void> {
  if (options.fingerprint !== undefined) {
    if (expectedFingerprint(options.fingerprint) === fingerprint) return;
    throw new CommandFailed(
      `the certificate has the fingerprint ${readableFingerprint(fingerprint)}, and not the one that you were told`,
      'Somebody may have exchanged the file: ask its author for it again.',
    );
  }
  if (options.yes) return;
  terminal.note(`Fingerprint: ${readableFingerprint(fingerprint)}`);
  terminal.note(`In words:    ${fingerprintWords(fingerprint).join(' ')}`);
  if (!process.stdin.isTTY) {
    throw new UsageError('compare the fingerprint with its operator, then give --fingerprint … or --yes');
  }
  await demandYes(`Did its operator read you the same? ${question}`);
}

function expectedFingerprint(text: string): string {
  const hex = normaliseFingerprint(text);
  if (/^[0-9a-f]{64}$/.test(hex)) return hex;
  const read = readFingerprintWords(text);
  if ('fingerprint' in read) return read.fingerprint;
  throw new UsageError(`--fingerprint: ${read.wrong ?? 'nothing'} is not the word at place ${read.place}`);
}

async function remove(name: string, options: GlobalOptions, terminal: Terminal): Promise<void> {
  await withPeers(options, terminal, async (peers) => {
    const peer = peers.find(name);
    await peers.remove(peer.id);
    if (options.json) terminal.out(JSON.stringify({ removed: peer.id, name: peer.name }));
    else terminal.out(harmless(`${peer.name} is no peer any more. Messages to it are given up.`));
  });
}

async function rotate(
  name: string,
  file: string | undefined,
  options: PeerOptions,
  terminal: Terminal,
): Promise<void> {
  if ((file === undefined) === (options.complete !== true)) {
    throw new UsageError('give the new file, or --complete once the peer uses its new certificate');
  }
  await withPeers(options, terminal, async (peers) => {
    const peer = peers.find(name);
    const changed = file === undefined ? await finishRotation(peers, peer) : await begin(peers, peer, file);
    if (options.json) return terminal.out(JSON.stringify(shown(changed)));
    const prints = changed.certificates.map(({ fingerprint }) => readableFingerprint(fingerprint));
    terminal.out(
      harmless(`${changed.name} is recognised by:\n${prints.map((print) => `  ${print}`).join('\n')}`),
    );
    if (file !== undefined) {
      terminal.note(`When it uses the new one everywhere: conclave peers rotate ${changed.name} --complete`);
    }
  });

  async function begin(peers: PeerDirectory, peer: Peer, path: string): Promise<Peer> {
    const bytes = await bytesOf(path);
    const pem =
      bytes.toString('utf8').includes('-----BEGIN CERTIFICATE') &&
      !bytes.toString('utf8').trimStart().startsWith('{')
        ? bytes.toString('utf8')
        : readPeerFile(bytes).certificate;
    const { raw } = parseCertificate(pem);
    await confirm(fingerprintOf(raw), `Accept it for ${peer.name}?`, options, terminal);
    return await peers.addCertificate(peer.id, pem);
  }
}

/** The newest is the one that was added last. */
async function finishRotation(peers: PeerDirectory, peer: Peer): Promise<Peer> {
  if (peer.certificates.length < 2) {
    throw new ConclaveError('usage', {
      reason: `${peer.name} has one certificate only: there is nothing to finish`,
    });
  }
  let changed = peer;
  for (const { fingerprint } of peer.certificates.slice(0, -1)) {
    changed = await peers.removeCertificate(peer.id, fingerprint);
  }
  return changed;
}
