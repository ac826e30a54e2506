/*
 * Authorities for tests of the election workflows: engines with real databases, real cryptography and real files, joined
 * by the network of `TestFederation`; votes and callbacks stay in the process.
 */
import { createHash, createSign } from 'node:crypto';
import { copyFile, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Task } from '../../lib/engine/model.ts';
import type { Json } from '../../lib/json.ts';
import { MixnetWorker } from '../../lib/mixnet/worker/client.ts';
import type { OperationName } from '../../lib/mixnet/worker/messages.ts';
import { createNodeCertificate } from '../../lib/node/certificates.ts';
import { createSecrets } from '../../lib/node/secrets.ts';
import { requestElection } from '../../tasks/create-election/request.ts';
import { electionDefinitions } from '../../tasks/definitions.ts';
import { integerOfPlaintext, QuestionCodec } from '../../tasks/election/ballot-encoding.ts';
import { type ElectionRequest, GROUP_CAPACITY } from '../../tasks/election/election.ts';
import { hashFile, niUri } from '../../tasks/election/hash.ts';
import { sessionsOf } from '../../tasks/election/records.ts';
import type { ElectionServices, ElectionSettings, ExternalMixnet } from '../../tasks/election/services.ts';
import { requestTally } from '../../tasks/tally/request.ts';
import { TestFederation, type TestNode, until } from './nodes.ts';

export interface TestAuthority {
  name: string;
  node: TestNode;
  services: ElectionServices;
  certificate: string;
}

export interface Callback {
  url: string;
  body: { status: string; reference: unknown; data?: Record<string, unknown>; session_data?: unknown };
}

/** Stands between an authority and its mix-net: `run` does what was asked, or something else. */
export type Interceptor = (
  operation: OperationName,
  // biome-ignore lint/suspicious/noExplicitAny: tests spoil whatever they like
  run: (changes?: object) => Promise<any>,
  // biome-ignore lint/suspicious/noExplicitAny: tests spoil whatever they like
  parameters: any,
) => Promise<unknown>;

export class TestAuthorities {
  readonly federation = new TestFederation();
  /** Of authorities that cheat, by name. */
  readonly interceptors = new Map<string, Interceptor>();
  readonly settings = new Map<string, { -readonly [Key in keyof ElectionSettings]: ElectionSettings[Key] }>();
  /** Programs of authorities that call Verificatum's, by name. */
  readonly external = new Map<string, ExternalMixnet>();
  readonly authorities: TestAuthority[] = [];
  readonly callbacks: Callback[] = [];
  /** What `votes_url`s answer. */
  readonly votes = new Map<string, Buffer>();
  readonly #shared = new Map<string, { path: string; readers: readonly string[] }>();
  readonly #mixnet = new MixnetWorker({ threads: 2 });
  #folder = '';

  async start(count: number, settings: Partial<ElectionSettings> = {}): Promise<void> {
    this.#folder = await mkdtemp(join(tmpdir(), 'conclave-elections-'));
    for (let index = 1; index <= count; index += 1) await this.#add(`auth${index}`, settings);
  }

  async close(): Promise<void> {
    await this.federation.close();
    await this.#mixnet.close();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #add(name: string, settings: Partial<ElectionSettings>): Promise<void> {
    const { certificate, privateKey } = await createNodeCertificate({ name, hosts: ['127.0.0.1'] });
    const services = this.#services(name, certificate, privateKey, settings);
    const node = await this.federation.add(name, {
      definitions: electionDefinitions(services),
      engine: { fetchAsyncData: (task) => this.#fetch(name, task) },
    });
    this.authorities.push({ name, node, services, certificate });
  }

  #services(
    name: string,
    certificate: string,
    privateKey: string,
    settings: Partial<ElectionSettings>,
  ): ElectionServices {
    const test = this;
    const secrets = createSecrets(createHash('sha256').update(name).digest());
    const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
    const byName = (id: string) => {
      const found = test.authorities.find((authority) => authority.name === id);
      return found === undefined ? undefined : { id, name: id, url: found.node.url };
    };
    return {
      node: { name, url: `https://${name}.test:5000/api/queues` },
      certificate,
      sign: (data) => createSign('sha256').update(data).sign(privateKey),
      get db() {
        return test.federation.nodes.get(name)!.database.knex;
      },
      privateFolder: join(this.#folder, name, 'private'),
      publicFolder: join(this.#folder, name, 'public'),
      publicUrl: `https://${name}.test:5000/public_data`,
      settings: this.#settingsOf(name, {
        autoAccept: true,
        multipleTallies: false,
        maxQuestions: 15,
        defaultGroup: 'P-256',
        maxVotesBytes: 1 << 30,
        tallyWaitSeconds: 0.3,
        tallyStepSeconds: 30,
        ...settings,
      }),
      mixnet: this.#mixnetOf(name),
      get external() {
        return test.external.get(name) ?? null;
      },
      log,
      create: (tree) => test.federation.nodes.get(name)!.engine.create(tree),
      seal: (secret, context) => secrets.seal(secret, context),
      open: (sealed, context) => secrets.open(sealed, context),
      callback: async (url, body) => void test.callbacks.push({ url, body: body as Callback['body'] }),
      download: async (url, destination) => {
        const bytes = test.votes.get(url);
        if (bytes === undefined) throw new Error(`nothing at ${url}`);
        await writeFile(destination, bytes);
        return { sha256: createHash('sha256').update(bytes).digest(), size: bytes.length };
      },
      share: async (path, readers) => {
        const url = `https://${name}.test:5000/api/data/${this.#shared.size}`;
        this.#shared.set(url, { path, readers });
        return { url, sha256: (await hashFile(path)).toString('hex'), size: (await stat(path)).size };
      },
      withdraw: async () => {},
      peerByCertificate: (pem) =>
        byName(test.authorities.find((other) => other.certificate === pem)?.name ?? ''),
      peerById: byName,
    };
  }

  #settingsOf(name: string, settings: ElectionSettings): ElectionSettings {
    this.settings.set(name, { ...settings });
    return this.settings.get(name)!;
  }

  #mixnetOf(name: string): MixnetWorker {
    const run: MixnetWorker['run'] = (operation, parameters, options) => {
      const work = (changes: object = {}) =>
        this.#mixnet.run(operation, { ...parameters, ...changes } as typeof parameters, options);
      const interceptor = this.interceptors.get(name);
      return (interceptor?.(operation, work, parameters) ?? work()) as ReturnType<typeof work>;
    };
    return { run } as MixnetWorker;
  }

  async #fetch(name: string, task: Task): Promise<Map<string, string>> {
    const folder = await mkdtemp(join(this.#folder, 'fetched-'));
    const found = new Map<string, string>();
    for (const [key, { url }] of Object.entries(task.asyncData ?? {})) {
      const shared = this.#shared.get(url);
      if (shared === undefined || !shared.readers.includes(name))
        throw new Error(`${url} is not for ${name}`);
      const path = join(folder, key.replaceAll('/', '_'));
      await copyFile(shared.path, path);
      found.set(key, path);
    }
    return found;
  }

  request(changes: Partial<ElectionRequest> & { id: number }): Record<string, unknown> {
    return {
      title: 'New Directive Board',
      description: 'election description',
      callback_url: 'https://manager.test/callback',
      start_date: '2026-12-06T18:17:14.457000',
      end_date: '2026-12-09T18:17:14.457000',
      authorities: this.authorities.map(({ name, node, certificate }) => ({
        name,
        orchestra_url: node.url,
        ssl_cert: certificate,
      })),
      questions: [question('Who should be president?', ['Alice', 'Bob', 'Carol'])],
      ...changes,
    };
  }

  /** Waits for the callback about an election, and takes it. */
  callbackOf(electionId: number | string, action: string): Promise<Callback> {
    return until(`the callback of ${action} for election ${electionId}`, () => {
      const at = this.callbacks.findIndex(({ body }) => {
        const reference = body.reference as { election_id: number | string; action: string };
        return reference.election_id === electionId && reference.action === action;
      });
      return at === -1 ? undefined : this.callbacks.splice(at, 1)[0];
    });
  }

  /** Has the first authority create an election; answers with its root task when it has ended. */
  async create(changes: Partial<ElectionRequest> & { id: number }): Promise<Task> {
    const [director] = this.authorities;
    const root = await requestElection(director!.services, this.request(changes));
    return director!.node.engine.ended(root);
  }

  async tally(electionId: number, lines: readonly string[], changes: object = {}): Promise<Task> {
    const [director] = this.authorities;
    const root = await requestTally(director!.services, this.votesRequest(electionId, lines, changes));
    return director!.node.engine.ended(root);
  }

  /** Waits until an authority's operator is asked, decides, and answers with what was shown. */
  async decide(name: string, label: string, decision: Json): Promise<Task> {
    const { node } = this.authorities.find((authority) => authority.name === name)!;
    const asked = await until(`${label} at ${name}`, async () =>
      (await node.tasks()).find((task) => task.label === label && task.status === 'executing'),
    );
    await node.engine.finishExternal(asked.id, decision);
    return asked;
  }

  published(name: string, electionId: number): string {
    const { services } = this.authorities.find((authority) => authority.name === name)!;
    return join(services.publicFolder, String(electionId));
  }

  /** Encrypted ballots, one line each; `choices[b][q]` are the answers of ballot b to question q. */
  async ballots(electionId: number, choices: readonly (readonly (readonly number[])[])[]): Promise<string[]> {
    const { services } = this.authorities[0]!;
    const key = String(electionId);
    const [row] = await services.db('elections').where({ key });
    const request = row.request as ElectionRequest;
    const sessions = await sessionsOf(services.db, key);
    const codecs = request.questions.map((asked) => new QuestionCodec(asked, GROUP_CAPACITY[request.group]));
    const { ballots } = await this.#mixnet.run('encryptBallots', {
      sessions: sessions.map(({ sessionId, publicKey }) => ({
        electionId: key,
        sessionId,
        publicKey: publicKey!,
      })),
      plaintexts: choices.map((row) =>
        row.map((answers, index) =>
          integerOfPlaintext(codecs[index]!.encode({ answers, writeIns: [] })).toString(),
        ),
      ),
    });
    return ballots.map((ballot, index) => `${JSON.stringify(ballot)}|voter${index}`);
  }

  /** Puts a votes file on the net; answers with the tally request for it. */
  votesRequest(electionId: number, lines: readonly string[], changes: object = {}): Record<string, unknown> {
    const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
    const votes_url = `https://manager.test/votes/${this.votes.size}`;
    this.votes.set(votes_url, bytes);
    return {
      election_id: electionId,
      callback_url: 'https://manager.test/callback',
      votes_url,
      votes_hash: niUri(createHash('sha256').update(bytes).digest()),
      ...changes,
    };
  }
}

export function question(title: string, answers: readonly string[]): ElectionRequest['questions'][number] {
  return {
    title,
    tally_type: 'plurality-at-large',
    max: 1,
    min: 0,
    num_winners: 1,
    answers: answers.map((text, id) => ({ id, text, urls: [] })),
  } as unknown as ElectionRequest['questions'][number];
}
