/**
 * `conclave demo`: authorities on this machine, each a process with a database, a certificate and peers of its own; an
 * election from its creation to the verified result (D51). Everything that it does, an operator or a manager could do
 * with the same commands and requests.
 */

import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { niUri } from '../../../tasks/election/hash.ts';
import { parseElectionRequest } from '../../../tasks/election/request.ts';
import type { ElectionResults } from '../../../tasks/election/results.ts';
import { MixnetWorker } from '../../mixnet/worker/client.ts';
import { loadIdentity } from '../../node/identity.ts';
import { loadSettings } from '../../node/settings.ts';
import { readPeerFile, writePeerFile } from '../../protocol/peer-file.ts';
import { randomChoices, type SessionKey, voteLines } from '../ballot-maker.ts';
import { withPeers } from '../node-access.ts';
import { CommandFailed } from '../outcome.ts';
import type { Terminal } from '../terminal.ts';
import type { Account } from './account.ts';
import { DemoAuthority } from './authority.ts';
import { differences, electionRequest } from './election.ts';
import { type Callback, DemoManager, type Reachable } from './manager.ts';
import { freePorts } from './ports.ts';
import { type DemoSession, type PublishedTally, verifyEverywhere } from './publication.ts';
import { Watcher } from './watcher.ts';

export interface DemoOptions {
  readonly authorities: number;
  readonly threshold: number;
  readonly ballots: number;
  readonly questions: number;
  readonly manual: boolean;
  /** Where everything goes; must not exist. */
  readonly folder: string;
}

/** What `--json` prints. All paths exist when the demonstration has ended. */
export interface DemoReport {
  readonly electionId: number;
  readonly nodes: readonly { name: string; url: string; folder: string; settings: string }[];
  readonly tally: { path: string; sha256: string; folder: string };
  readonly sessions: readonly DemoSession[];
  readonly results: ElectionResults;
  readonly seconds: { start: number; create: number; ballots: number; tally: number; verify: number };
}

const ELECTION_ID = 1;
/** With people, who must first find the other terminal. */
const MANUAL_SECONDS = 3600;
/** How long the manager goes on asking a director that is away. */
const REQUEST_MILLISECONDS = 60_000;

export class Demo {
  readonly #options: DemoOptions;
  readonly #account: Account;
  readonly #terminal: Terminal;
  readonly #signal: AbortSignal;
  readonly #folder: string;
  /** Killed nodes are being started again; or why they could not be. */
  #reviving: Promise<Error | null> | Error | null = null;
  readonly #authorities: DemoAuthority[] = [];
  readonly #seconds: Record<string, number> = {};
  #manager: DemoManager | null = null;
  #watcher: Watcher | null = null;
  #certificates: Reachable[] = [];

  constructor(options: DemoOptions, account: Account, terminal: Terminal, signal: AbortSignal) {
    this.#options = options;
    this.#account = account;
    this.#terminal = terminal;
    this.#signal = signal;
    this.#folder = resolve(options.folder);
  }

  get nodes(): DemoReport['nodes'] {
    return this.#authorities.map(({ made: { name, url, folder, settings } }) => ({
      name,
      url,
      folder,
      settings,
    }));
  }

  /** @throws CommandFailed when anything goes wrong, or does not come out as it must */
  async run(): Promise<DemoReport> {
    const { authorities, threshold, ballots, questions } = this.#options;
    this.#account.chapter(
      `${authorities} authorities, of which ${threshold} must agree to decrypt, in ${this.#folder}`,
    );
    await this.#timed('start', () => this.#start());
    this.#account.chapter(`An election with ${questions} question(s)`);
    const request = this.#request();
    const sessions = await this.#timed('create', () => this.#create(request));
    this.#account.chapter(`${ballots} voters`);
    const parsed = parseElectionRequest(request);
    const choices = randomChoices(parsed.questions, ballots);
    const votes = join(this.#folder, 'votes');
    const hash = await this.#timed('ballots', () => this.#vote(parsed, sessions, choices, votes));
    this.#account.chapter('The tally');
    const announced = await this.#timed('tally', () => this.#tally(votes, hash));
    this.#account.chapter('Verification, by each authority on its own');
    const published = await this.#timed('verify', () =>
      verifyEverywhere(this.#authorities, ELECTION_ID, announced, this.#folder, this.#account, this.#signal),
    );
    this.#compare(published, differences(parsed, choices, published.results));
    this.#account.line('what was counted is what the voters chose');
    return this.#report(published);
  }

  /** Ends everything that runs; the folders stay. */
  async stop(): Promise<void> {
    await this.#watcher?.close();
    await Promise.all(this.#authorities.map((authority) => authority.stop()));
    await this.#manager?.close();
  }

  async #start(): Promise<void> {
    const { authorities: count, manual } = this.#options;
    await mkdir(this.#folder, { recursive: true, mode: 0o711 });
    this.#manager = await DemoManager.start();
    const ports = await freePorts(2 * count);
    for (let index = 0; index < count; index += 1) {
      const name = `Auth${index + 1}`;
      const authority = await DemoAuthority.make({
        name,
        folder: join(this.#folder, name.toLowerCase()),
        port: ports[2 * index]!,
        healthPort: ports[2 * index + 1]!,
        autoAccept: !manual,
      });
      this.#authorities.push(authority);
    }
    this.#account.line('each has a folder with settings, a certificate, and a key for its secrets');
    await Promise.all(this.#authorities.map((authority) => authority.start(this.#signal)));
    this.#account.line('each runs as a process of its own, with a database of its own');
    await this.#introduce();
    this.#account.line('each has pinned the certificates of the others, and of the election manager');
    this.#watcher = await Watcher.start(this.#authorities, this.#account, manual);
  }

  /** One peer file each way, as operators do it with `peers export` and `peers add`. */
  async #introduce(): Promise<void> {
    const files = new Map<string, string>();
    for (const { made } of this.#authorities) {
      const settings = await loadSettings(made.settings, {});
      const { certificate, privateKey } = await loadIdentity(settings);
      files.set(made.name, writePeerFile({ ...made, roles: ['authority'], certificate }, privateKey));
      this.#certificates.push({ name: made.name, url: made.url, certificate });
      this.#manager!.know(certificate);
    }
    files.set(this.#manager!.name, this.#manager!.peerFile);
    const terminal = { ...this.#terminal, environment: {} };
    for (const { made } of this.#authorities) {
      await withPeers({ settings: made.settings }, terminal, async (peers) => {
        for (const [name, file] of files) {
          if (name === made.name) continue;
          const { certificate, ...peer } = readPeerFile(Buffer.from(file));
          await peers.add({ ...peer, certificates: [certificate], dialect: 'unknown' });
        }
      });
    }
  }

  #request(): Record<string, unknown> {
    const { questions, threshold } = this.#options;
    return electionRequest(ELECTION_ID, questions, threshold, this.#manager!.callbackUrl, this.#certificates);
  }

  async #create(request: Record<string, unknown>): Promise<SessionKey[]> {
    const [director] = this.#certificates;
    this.#account.line(`the manager asks ${director!.name} for the election: POST /public_api/election`);
    await this.#ask('/public_api/election', request, 'election_exists');
    const { status, session_data: sessions, data } = await this.#callback('POST /election');
    if (status !== 'finished')
      throw new CommandFailed(`the election was not created: ${JSON.stringify(data)}`);
    this.#account.line('the manager has the joint public keys: nobody holds the private ones');
    await writeFile(join(this.#folder, 'election.json'), `${JSON.stringify(request, null, 2)}\n`);
    await writeFile(
      join(this.#folder, 'keys.json'),
      `${JSON.stringify({ session_data: sessions }, null, 2)}\n`,
    );
    return sessions as SessionKey[];
  }

  async #vote(
    request: ReturnType<typeof parseElectionRequest>,
    sessions: readonly SessionKey[],
    choices: number[][][],
    file: string,
  ): Promise<string> {
    const mixnet = new MixnetWorker({ threads: 1 });
    const lines: string[] = [];
    try {
      for await (const line of voteLines(request, sessions, choices, mixnet)) {
        this.#signal.throwIfAborted();
        lines.push(`${line}\n`);
        if (lines.length % 50 === 0) this.#account.progress('encrypting', lines.length / choices.length);
      }
    } finally {
      await mixnet.close();
    }
    const text = lines.join('');
    await writeFile(file, text);
    this.#account.line('each ballot is encrypted, with a proof that its maker knows what is in it');
    return niUri(createHash('sha256').update(text).digest());
  }

  async #tally(votes: string, hash: string): Promise<string> {
    const [director] = this.#certificates;
    const manager = this.#manager!;
    this.#account.line(`the manager asks ${director!.name} for the tally: POST /public_api/tally`);
    const request = {
      election_id: ELECTION_ID,
      callback_url: manager.callbackUrl,
      votes_url: await manager.offer(votes),
      votes_hash: hash,
    };
    await this.#ask('/public_api/tally', request, 'tally_running');
    const { status, data } = await this.#callback('POST /tally');
    if (status !== 'finished') throw failed('the tally failed', data);
    return String(data?.tally_hash);
  }

  /**
   * Requests something of the director. When the connection broke, nobody knows whether the request had arrived: it is
   * sent again, and `accepted` is the error code that says it had.
   */
  async #ask(path: string, body: object, accepted: string): Promise<void> {
    const until = AbortSignal.any([this.#signal, AbortSignal.timeout(REQUEST_MILLISECONDS)]);
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#manager!.post(this.#certificates[0]!, path, body);
        return;
      } catch (thrown) {
        if (thrown instanceof CommandFailed) {
          if (attempt > 1 && thrown.message.includes(`"${accepted}"`)) return;
          throw thrown;
        }
        if (until.aborted) throw thrown;
        this.#reviveAll(until);
        await pause(500, undefined, { signal: until });
      }
    }
  }

  async #callback(action: string) {
    const { ballots, questions, manual } = this.#options;
    const seconds = manual ? MANUAL_SECONDS : 120 + (ballots * questions) / 10;
    const deadline = AbortSignal.timeout(seconds * 1000);
    try {
      const until = AbortSignal.any([this.#signal, deadline]);
      const found = await this.#manager!.callback(action, until, () => this.#reviveAll(until));
      await this.#watcher?.look();
      return found;
    } catch (thrown) {
      if (!deadline.aborted) throw thrown;
      const { settings } = this.#authorities[0]!.made;
      throw new CommandFailed(
        `there was no answer to ${action} within ${Math.round(seconds)} seconds`,
        `See what waits: npx conclave --settings ${settings} --tasks`,
      );
    }
  }

  /** Nodes that were killed meanwhile come back; the election goes on. */
  #reviveAll(signal: AbortSignal): void {
    if (this.#reviving instanceof Error) throw this.#reviving;
    if (this.#reviving !== null || this.#authorities.every(({ ended }) => ended === null)) return;
    const revive = async (): Promise<null> => {
      for (const authority of this.#authorities) {
        if (authority.ended !== null) this.#account.line(`the node of ${authority.name} was killed`);
        const how = await authority.revive(signal);
        if (how !== null)
          this.#account.line(`the node of ${authority.name} was started again ${how}, and goes on`);
      }
      return null;
    };
    this.#reviving = revive()
      .catch((thrown: Error) => thrown)
      .then((outcome) => {
        this.#reviving = outcome;
        return outcome;
      });
  }

  #compare(published: PublishedTally, wrong: readonly string[]): void {
    if (wrong.length === 0) return;
    throw new CommandFailed(
      `the results are not what the voters chose: ${wrong.join('; ')} (${published.path})`,
    );
  }

  async #timed<T>(name: string, work: () => Promise<T>): Promise<T> {
    const started = performance.now();
    try {
      return await work();
    } finally {
      this.#seconds[name] = Math.round(performance.now() - started) / 1000;
    }
  }

  #report({ path, sha256, folder, sessions, results }: PublishedTally): DemoReport {
    const seconds = this.#seconds as unknown as DemoReport['seconds'];
    return {
      electionId: ELECTION_ID,
      nodes: this.nodes,
      tally: { path, sha256, folder },
      sessions,
      results,
      seconds,
    };
  }
}

function failed(what: string, data: Callback['data']): CommandFailed {
  return new CommandFailed(`${what}: ${String(data?.message ?? JSON.stringify(data))}`);
}
