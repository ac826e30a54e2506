/**
 * `conclave doctor`: looks at everything that keeps a node from working, now or soon, and says what helps. Changes
 * nothing. Exit code 0: nothing is wrong; 1: something is.
 */
import { stat, statfs } from 'node:fs/promises';
import { connect } from 'node:net';
import type { Command } from 'commander';
import { reasonOf } from '../errors.ts';
import type { Assembly } from '../node/assembly.ts';
import { operatorServices } from '../node/operator.ts';
import type { Settings } from '../node/settings.ts';
import { checkPeer } from '../operator/peers.ts';
import { countTrail } from '../store/audit.ts';
import { countMessages } from '../store/counts.ts';
import { type GlobalOptions, withEngine } from './node-access.ts';
import { EXIT, type ExitCode } from './outcome.ts';
import { harmless, type Terminal } from './terminal.ts';

export interface Finding {
  readonly check: string;
  readonly ok: boolean;
  readonly text: string;
  /** What helps; null where nothing is wrong. */
  readonly cure: string | null;
}

const DAY = 86_400_000;
const SOON_DAYS = 30;
const LEAST_FREE_BYTES = 2 * 2 ** 30;
const MOST_CLOCK_DIFFERENCE = 5000;
const PATIENCE_MILLISECONDS = 3000;

export function addDoctor(program: Command, terminal: Terminal, ended: (code: ExitCode) => void): void {
  program
    .command('doctor')
    .description('look for what is wrong with the node, its database and its peers, and say what helps')
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<GlobalOptions>();
      // Settings and database first: without them there is a message of its own, and nothing to look at.
      await withEngine(options, terminal, async (parts) => {
        await parts.peers.refresh();
        const findings = await examine(parts);
        const wrong = findings.filter(({ ok }) => !ok);
        if (options.json) terminal.out(JSON.stringify({ ok: wrong.length === 0, findings }, null, 4));
        else for (const finding of findings) show(finding, terminal);
        ended(wrong.length === 0 ? EXIT.ok : EXIT.failure);
      });
    });
}

function show({ check, ok, text, cure }: Finding, terminal: Terminal): void {
  const mark = ok ? terminal.paint('green', 'ok     ') : terminal.paint('red', 'problem');
  terminal.out(`${mark}  ${harmless(`${check}: ${text}`)}`);
  if (cure !== null) terminal.out(harmless(`         → ${cure}`));
}

async function examine(parts: Assembly): Promise<Finding[]> {
  const { settings } = parts;
  const found = await Promise.all([
    database(parts),
    disk('data folder', settings.data_folder),
    disk('public folder', settings.public_folder),
    Promise.all([...secretFiles(settings)].map(([what, path]) => secret(what, path))),
    certificates(parts),
    running(settings),
    peers(parts),
    letters(parts),
    trail(parts),
  ]);
  return found.flat();
}

function fine(check: string, text: string): Finding {
  return { check, ok: true, text, cure: null };
}

function wrong(check: string, text: string, cure: string): Finding {
  return { check, ok: false, text, cure };
}

/** Tables were brought up to date when the database was opened. */
async function database({ opened }: Assembly): Promise<Finding> {
  const { rows } = await opened.database.knex.raw<{ rows: { version: string; clock: Date }[] }>(
    `select current_setting('server_version') as version, clock_timestamp() as clock`,
  );
  const [{ version, clock }] = rows as [{ version: string; clock: Date }];
  const apart = Math.abs(clock.getTime() - Date.now());
  if (apart > MOST_CLOCK_DIFFERENCE)
    return wrong(
      'database',
      `its clock and this machine's are ${Math.round(apart / 1000)} s apart`,
      'Set both by NTP: timers and leases depend on them.',
    );
  return fine('database', `${opened.shownAs}, PostgreSQL ${version}, tables up to date`);
}

async function disk(check: string, folder: string): Promise<Finding> {
  try {
    const { bavail, bsize } = await statfs(folder);
    const free = bavail * bsize;
    const text = `${folder}, ${(free / 2 ** 30).toFixed(1)} GiB free`;
    return free >= LEAST_FREE_BYTES
      ? fine(check, text)
      : wrong(
          check,
          text,
          'Make room, or move the folder (settings): a tally that finds no room waits for it.',
        );
  } catch (thrown) {
    return wrong(check, reasonOf(thrown), 'Make the folder, or correct its path in the settings.');
  }
}

function* secretFiles({ tls, key_encryption }: Settings): Generator<[string, string]> {
  yield ['key of the certificate', tls.key];
  if (key_encryption?.key_file !== undefined) yield ['key of the database', key_encryption.key_file];
}

async function secret(what: string, path: string): Promise<Finding> {
  try {
    const { mode } = await stat(path);
    return (mode & 0o077) === 0
      ? fine(what, `${path}, readable by its owner alone`)
      : wrong(what, `${path} can be read by other accounts`, `chmod 600 ${path}`);
  } catch (thrown) {
    return wrong(what, reasonOf(thrown), 'Put it back from your backup: without it the node cannot start.');
  }
}

function certificates({ identity, peers: known }: Assembly): Finding[] {
  const own = ending(
    'own certificate',
    identity.current.notAfter,
    'Make a new one and send it to your peers, while this one is valid.',
  );
  const theirs = known.list().map(({ name, certificates: pinned }) => {
    const last = Math.max(...pinned.map(({ not_after }) => Date.parse(not_after)));
    return ending(
      `certificate of ${name}`,
      new Date(last),
      `Ask its operator for the new one: conclave peers rotate ${name} FILE`,
    );
  });
  return [own, ...theirs];
}

function ending(check: string, end: Date, cure: string): Finding {
  const days = Math.floor((end.getTime() - Date.now()) / DAY);
  const text = `valid until ${end.toISOString().slice(0, 10)}`;
  if (days < 0) return wrong(check, `ended on ${end.toISOString().slice(0, 10)}`, cure);
  return days < SOON_DAYS ? wrong(check, `${text}, in ${days} days`, cure) : fine(check, text);
}

/** Whether this node runs, or somebody else has its ports. */
async function running(settings: Settings): Promise<Finding> {
  const { health, federation } = settings.listen;
  const host = ['0.0.0.0', '::'].includes(health.host) ? '127.0.0.1' : health.host;
  try {
    const answer = await fetch(`http://${host.includes(':') ? `[${host}]` : host}:${health.port}/readyz`, {
      signal: AbortSignal.timeout(PATIENCE_MILLISECONDS),
    });
    const { problems = [] } = (await answer.json()) as { problems?: string[] };
    return answer.status === 200
      ? fine('process', `runs, and is ready (port ${health.port})`)
      : wrong('process', `runs, and is not ready: ${problems.join('; ')}`, 'Its log says more.');
  } catch {
    if (await listens(federation.port))
      return wrong(
        'process',
        `something listens on port ${federation.port}, and it does not answer as this node`,
        'Stop the other program, or change "listen" in the settings.',
      );
    return wrong('process', 'it does not run here', 'conclave start --settings FILE');
  }
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

async function peers(parts: Assembly): Promise<Finding[]> {
  const services = operatorServices(parts);
  const known = parts.peers.list();
  if (known.length === 0)
    return [fine('peers', 'there are none; conclave peers add FILE adds one that was sent to you')];
  return await Promise.all(
    known.map(async ({ id, name, url, dialect }): Promise<Finding> => {
      const check = `peer ${name}`;
      if (url === null) return fine(check, 'it only calls this node');
      const { reachable, problem, milliseconds, clock_difference_ms: apart } = await checkPeer(services, id);
      if (!reachable || problem !== null)
        return wrong(
          check,
          problem ?? 'it does not answer',
          `conclave peers check ${name} says at which end to look.`,
        );
      if (apart !== null && Math.abs(apart) > MOST_CLOCK_DIFFERENCE)
        return wrong(check, `its clock is ${Math.round(apart / 1000)} s off ours`, 'Set both by NTP.');
      return fine(
        check,
        `answers after ${milliseconds} ms; ${dialect === 'frestq' ? 'an original' : dialect}`,
      );
    }),
  );
}

async function letters({ opened, peers: known }: Assembly): Promise<Finding[]> {
  const counts = await countMessages(opened.database.knex);
  const dead = counts.filter(({ state, count }) => state === 'dead' && count > 0);
  if (dead.length === 0) return [fine('messages', 'none was given up')];
  return dead.map(({ peerId, count }) =>
    wrong(
      'messages',
      `${count} to ${known.byId(peerId)?.name ?? peerId} were refused or given up`,
      'conclave messages --state dead shows why; conclave resend NUMBER sends one again.',
    ),
  );
}

async function trail({ opened, peers: known }: Assembly): Promise<Finding[]> {
  const { unsealed, lastBlock, lastDate, forks } = await countTrail(opened.database.knex);
  const late = unsealed > 0 && lastDate !== null && Date.now() - lastDate.getTime() > 60_000;
  const sealed = `block ${lastBlock}, ${unsealed} entries wait`;
  return [
    late
      ? wrong(
          'audit trail',
          sealed,
          'Entries are sealed once a second while the node runs: start it, or see its log.',
        )
      : fine('audit trail', sealed),
    ...forks.map(({ peerId, count }) =>
      wrong(
        'audit trail',
        `${known.byId(peerId)?.name ?? peerId} has signed ${count + 1} different logs`,
        'conclave log show --kind fork has the evidence. Call its operator.',
      ),
    ),
  ];
}
