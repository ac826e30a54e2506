import { request as httpRequest } from 'node:http';
import { expect } from 'chai';
import { createLink } from '../../lib/console/sessions.ts';
import { external, sequential } from '../../lib/engine/tree.ts';
import { electionWorkflows } from '../../lib/node/elections.ts';
import type { RunningNode } from '../../lib/node/node.ts';
import { commandWith } from '../support/command.ts';
import { type NodeFolder, NodeFolders } from '../support/node-folders.ts';

interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  // biome-ignore lint/suspicious/noExplicitAny: what a browser would get
  readonly body: any;
}

describe('the console: a real node, real HTTP', function () {
  this.timeout(60_000);
  const folders = new NodeFolders();
  let folder: NodeFolder;
  let node: RunningNode;

  async function call(
    method: string,
    path: string,
    headers: Record<string, string> = {},
    body?: unknown,
  ): Promise<Answer> {
    const { port } = node.addresses.console!;
    const type = body === undefined ? {} : { 'Content-Type': 'application/json' };
    return await new Promise((resolve, reject) => {
      const made = httpRequest(
        { port, host: '127.0.0.1', method, path, headers: { ...type, ...headers }, agent: false },
        async (response) => {
          let text = '';
          for await (const piece of response.setEncoding('utf8')) text += piece;
          const json = response.headers['content-type']?.includes('json') ? JSON.parse(text) : text;
          resolve({ status: response.statusCode!, headers: response.headers, body: json });
        },
      );
      made.once('error', reject);
      made.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  /** As the page does it. */
  async function signIn(operator: string) {
    const link = await createLink(node.database.knex, operator);
    const { headers, body } = await call('POST', '/api/session', {}, { link });
    const [cookie] = headers['set-cookie'] as string[];
    return { Cookie: cookie!.split(';')[0]!, 'X-Conclave-CSRF': body.csrf_token as string };
  }

  let anas: Awaited<ReturnType<typeof signIn>> | undefined;
  /** One for all: who signs in too often must wait. */
  async function anasSession() {
    anas ??= await signIn('Ana');
    return anas;
  }

  before(async () => {
    folder = await folders.make('Auth1');
    node = await folders.start(folder, { workflows: electionWorkflows });
  });
  after(() => folders.close());

  it('given the owner of the node, when they ask for a link, then it opens one session, and only once', async () => {
    const { code, out } = await commandWith(
      {},
      '--settings',
      folder.settings,
      'console',
      '--operator',
      'Ana',
      '--json',
    );
    expect(code).to.equal(0);
    const { url } = JSON.parse(out);
    expect(new URL(url).port).to.equal(String(node.addresses.console!.port));
    const link = new URL(url).hash.replace('#link=', '');
    const first = await call('POST', '/api/session', {}, { link });
    expect(first.status).to.equal(200);
    expect(first.body.operator).to.equal('Ana');
    const [cookie] = first.headers['set-cookie'] as string[];
    expect(cookie).to.match(/^conclave_console=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/);
    const again = await call('POST', '/api/session', {}, { link });
    expect([again.status, again.body.code]).to.deep.equal([401, 'link_refused']);
  });

  it('given a link whose time is over, when it is used, then it opens nothing', async () => {
    const link = await createLink(node.database.knex, 'Ana');
    await node.database.knex('console_links').update({ expires_date: new Date(0) });
    const { status, body } = await call('POST', '/api/session', {}, { link });
    expect([status, body.code]).to.deep.equal([401, 'link_refused']);
  });

  it('given no session, an idle one, or one that was ended, when anything is asked for, then it is refused', async () => {
    for (const path of ['/api/session', '/api/me', '/api/approvals', '/api/tasks', '/api/events'])
      expect((await call('GET', path)).body.code, path).to.equal('session_required');
    const idle = await signIn('Ana');
    await node.database.knex('console_sessions').update({ last_used_date: new Date(0) });
    expect((await call('GET', '/api/me', idle)).status).to.equal(401);
    const ended = await signIn('Ana');
    expect((await call('DELETE', '/api/session', ended)).status).to.equal(204);
    expect((await call('GET', '/api/me', ended)).status).to.equal(401);
  });

  it('given a page of another site, when it uses the session, then it is refused, with and without a token', async () => {
    const session = await anasSession();
    const { Cookie } = session;
    const refusals = [
      await call('POST', '/api/tasks/x/retry', { Cookie }),
      await call('POST', '/api/tasks/x/retry', { Cookie, 'X-Conclave-CSRF': 'wrong' }),
      await call('POST', '/api/tasks/x/retry', { ...session, Origin: 'http://evil.example' }),
      await call('GET', '/api/me', { Cookie, 'Sec-Fetch-Site': 'cross-site' }),
    ];
    expect(refusals.map(({ body }) => body.code)).to.deep.equal(Array(4).fill('csrf_refused'));
    expect((await call('POST', '/api/tasks/x/retry', session)).body.code).to.equal('task_not_found');
  });

  it('given a name that was made to resolve to this machine, when it is asked for by that name, then it does not answer', async () => {
    const session = await anasSession();
    const { status, body } = await call('GET', '/api/me', { ...session, Host: 'evil.example' });
    expect([status, body.code]).to.deep.equal([421, 'host_refused']);
  });

  it('given any answer, then its headers confine the page', async () => {
    const { headers } = await call('GET', '/api/me');
    const policy = headers['content-security-policy'] as string;
    expect(policy).to.contain(`default-src 'none'; script-src 'self'; style-src 'self'`);
    expect(policy).to.not.contain('unsafe');
    expect(headers['x-content-type-options']).to.equal('nosniff');
    expect(headers['cache-control']).to.equal('no-store');
    expect(headers).to.not.have.property('x-powered-by');
  });

  it('given a task that waits, when it is looked up, finished and cancelled, then each does what it says, and is recorded', async () => {
    const session = await anasSession();
    const root = await node.engine.create(
      sequential([external({ label: 'one' }), external({ label: 'two' })]),
    );
    const { body: children } = await call('GET', `/api/tasks/${root}/children?limit=1&why=true`, session);
    expect(children.items.map(({ label }: { label: string }) => label)).to.deep.equal(['one']);
    expect(children.items[0].why).to.contain('waits for a decision of the operators');
    const rest = await call('GET', `/api/tasks/${root}/children?after=${children.next}`, session);
    expect(rest.body.items.map(({ label }: { label: string }) => label)).to.deep.equal(['two']);
    const finished = await call('POST', `/api/tasks/${children.items[0].id}/finish`, session, {
      data: { a: 1 },
    });
    expect([finished.body.status, finished.body.output]).to.deep.equal(['finished', { a: 1 }]);
    const cancelled = await call('POST', `/api/tasks/${root}/cancel`, session, { reason: 'not needed' });
    expect(cancelled.body.error.message).to.equal('cancelled: not needed');
    expect(cancelled.body.actions.retry.allowed).to.equal(false);
    const times = await call('GET', `/api/tasks/${root}/timings`, session);
    expect(times.body.items).to.have.length(3);
    const roots = await call('GET', '/api/tasks?roots=true&status=error', session);
    expect(roots.body.items.map(({ id }: { id: string }) => id)).to.deep.equal([root]);
  });

  it('given everything that the page asks for, when it is asked for, then it is answered', async () => {
    const session = await anasSession();
    for (const path of ['me', 'approvals', 'elections', 'tasks/actions', 'peers', 'messages?state=dead'])
      expect((await call('GET', `/api/${path}`, session)).status, path).to.equal(200);
    const wrong = await call('GET', '/api/tasks?nonsense=1', session);
    expect([wrong.status, wrong.body.code]).to.deep.equal([400, 'invalid_request']);
    expect((await call('GET', '/api/elections/77', session)).body.code).to.equal('election_not_found');
    expect((await call('GET', '/api/peers/none', session)).status).to.equal(404);
  });

  it('given somebody who watches, when a task comes to be, then an event names it; who comes back is told what they missed', async () => {
    const { Cookie } = await anasSession();
    const abort = new AbortController();
    const { port } = node.addresses.console!;
    const answer = await fetch(`http://127.0.0.1:${port}/api/events`, {
      headers: { Cookie },
      signal: abort.signal,
    });
    expect(answer.headers.get('content-type')).to.contain('text/event-stream');
    let seen = '';
    let root = '';
    for await (const piece of answer.body!.pipeThrough(new TextDecoderStream())) {
      seen += piece;
      // The first look is what later ones are compared with.
      if (root === '' && seen.includes('event: hello'))
        root = await node.engine.create(external({ label: 'seen' }));
      if (seen.includes('event: tasks') && seen.includes(root)) break;
      if (!seen.includes('event: tasks') && seen.includes('still here'))
        root = await node.engine.create(external({ label: 'seen' }));
    }
    abort.abort();
    expect(seen).to.contain('event: hello');
    expect(seen).to.contain('event: tasks');
  });

  it('given entries of the audit trail, when they are searched by kind, task and text, then pages bring each once, newest first', async () => {
    const session = await anasSession();
    const tasks: string[] = [];
    for (let made = 0; made < 3; made += 1) {
      const id = await node.engine.create(external({ label: 'to be cancelled' }));
      tasks.unshift(id);
      await call('POST', `/api/tasks/${id}/cancel`, session, { reason: `Superfluous ${made}` });
    }
    const found: { kind: string; date: string; entry: { task: string } }[] = [];
    for (let after = ''; ; ) {
      const { body } = await call('GET', `/api/audit?kind=cancel&text=superFLUOUS&limit=1${after}`, session);
      expect(body.items.length).to.be.at.most(1);
      found.push(...body.items);
      if (body.next === null) break;
      after = `&after=${body.next}`;
    }
    expect(found.map(({ kind, entry }) => [kind, entry.task])).to.deep.equal(
      tasks.map((task) => ['cancel', task]),
    );
    const one = await call('GET', `/api/audit?task=${tasks[1]!.slice(0, 18)}&kind=cancel`, session);
    expect(one.body.items.map(({ entry }: { entry: { reason: string } }) => entry.reason)).to.deep.equal([
      'Superfluous 1',
    ]);
    const wrong = await call('GET', '/api/audit?after=nonsense', session);
    expect([wrong.status, wrong.body.code]).to.deep.equal([400, 'invalid_request']);
  });

  it('given a peer, when it is previewed, added, checked, rotated and removed, then each does what it says, and is recorded', async () => {
    const session = await anasSession();
    const other = await folders.make('Auth2');
    const file = await commandWith({}, '--settings', other.settings, 'peers', 'export');
    expect(file.code).to.equal(0);
    const seen = await call('POST', '/api/peers/preview', session, { file: file.out });
    const fingerprint: string = seen.body.fingerprint.hex;
    const refused = await call('POST', '/api/peers', session, {
      file: file.out,
      fingerprint: '0'.repeat(64),
    });
    expect([refused.status, refused.body.code]).to.deep.equal([400, 'invalid_request']);
    const added = await call('POST', '/api/peers', session, { file: file.out, fingerprint });
    expect(added.body.certificates[0].fingerprint.hex).to.equal(fingerprint);
    const path = `/api/peers/${added.body.id}`;
    // Nobody listens there.
    const check = await call('POST', `${path}/check`, session, {});
    expect(check.body.reachable).to.equal(false);
    expect(check.body.problem).to.be.a('string').that.is.not.equal('');
    const own = (await call('GET', '/api/peers/self/file', session)).body as string;
    const self = (await call('POST', '/api/peers/preview', session, { file: own })).body.fingerprint.hex;
    const rotated = await call('POST', `${path}/rotate`, session, { file: own, fingerprint: self });
    expect(rotated.body.certificates).to.have.length(2);
    const completed = await call('POST', `${path}/rotate/complete`, session, {});
    expect(
      completed.body.certificates.map((each: { fingerprint: { hex: string } }) => each.fingerprint.hex),
    ).to.deep.equal([self]);
    expect((await call('DELETE', path, session)).status).to.equal(204);
    expect((await call('GET', path, session)).status).to.equal(404);
    const { body } = await call('GET', `/api/audit?peer=${added.body.id}&limit=10`, session);
    const kinds = body.items.map(({ kind }: { kind: string }) => kind);
    expect(kinds.filter((kind: string) => kind.startsWith('peer_'))).to.deep.equal([
      'peer_removed',
      'peer_rotation_completed',
      'peer_rotated',
      'peer_added',
    ]);
  });

  it('given somebody who watched and lost the connection, when they come back, then they are told what they missed; another’s numbers are not believed', async () => {
    const { Cookie } = await anasSession();
    const { port } = node.addresses.console!;
    let seen = '';
    /** Until `enough` says so; then the connection is dropped. */
    const watch = async (last: string | null, enough: () => boolean | Promise<boolean>): Promise<void> => {
      const abort = new AbortController();
      const headers = { Cookie, ...(last === null ? {} : { 'Last-Event-ID': last }) };
      const answer = await fetch(`http://127.0.0.1:${port}/api/events`, { headers, signal: abort.signal });
      seen = '';
      for await (const piece of answer.body!.pipeThrough(new TextDecoderStream())) {
        seen += piece;
        if (await enough()) break;
      }
      abort.abort();
    };
    await watch(null, () => seen.includes('event: hello'));
    const [, last] = /^id: (\S+)/m.exec(seen)!;
    const root = await node.engine.create(external({ label: 'missed' }));
    await watch(last!, () => seen.includes(root));
    expect(seen).to.contain('"resumed":true').and.not.contain('event: reset');
    await watch('another-1', () => seen.includes('event: reset'));
    expect(seen).to.contain('"resumed":false');
  });

  it('given somebody who guesses links, when they go on, then they must wait', async () => {
    let last: Answer | undefined;
    for (let attempt = 0; attempt < 12; attempt += 1)
      last = await call('POST', '/api/session', {}, { link: 'guess' });
    expect([last!.status, last!.body.code]).to.deep.equal([429, 'too_many_attempts']);
  });
});
