import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Express } from 'express';
import type { ConclaveError } from '../../lib/errors.ts';
import { fetchToFile } from '../../lib/protocol/bulk-fetch.ts';
import { pinCertificate } from '../../lib/protocol/certificate.ts';
import { FederationClient, type ReachablePeer, RequestFailed } from '../../lib/protocol/client.ts';
import { FakePeers, type Serving, serve } from './serving.ts';
import { makeIdentity } from './support.ts';

const own = makeIdentity('node');
const other = makeIdentity('other');

describe('requests to peers', () => {
  const peers = new FakePeers();
  let client: FederationClient;
  beforeEach(() => {
    client = new FederationClient({ identity: own });
  });
  afterEach(() => client.close());

  const peerAt = (port: number, identity = other): ReachablePeer => ({
    ...peers.add('other', identity),
    url: `https://127.0.0.1:${port}/api/queues`,
  });
  const failure = async (work: Promise<unknown>): Promise<RequestFailed> => {
    const thrown = await work.then(
      () => null,
      (reason: unknown) => reason,
    );
    expect(thrown).to.be.instanceOf(RequestFailed);
    return thrown as RequestFailed;
  };

  it('given nobody at the port, when a peer is asked, then the error says so and that nothing arrived', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    server.close();
    const failed = await failure(client.askIdentity(peerAt(port)));
    expect(failed).to.deep.include({ code: 'ECONNREFUSED', connected: false });
    expect(failed.message).to.equal(`127.0.0.1:${port}: connection refused: nothing listens there`);
  });

  it('given a server that accepts and says nothing, when the time is up, then the request fails, and may have arrived', async () => {
    const serving = await serve(other);
    serving.peers.add('us', own);
    const never = Promise.withResolvers<never>();
    serving.engine.receive = () => never.promise;
    const aborted = AbortSignal.timeout(100);
    const entry = '{"queue":"q","message_id":"m","action":"a","sender_url":"s"}';
    const failed = await failure(client.sendBatch(peerAt(serving.port), [entry], aborted));
    expect(failed.connected).to.equal(true);
    never.reject(new Error('over'));
    await serving.close();
  });

  it('given another certificate than the pinned one, when a peer is asked, then the error shows which it presented', async () => {
    const impostor = makeIdentity('other');
    const serving = await serve(impostor);
    serving.peers.add('us', own);
    const failed = await failure(client.askIdentity(peerAt(serving.port)));
    expect(failed).to.deep.include({ code: 'peer_certificate_mismatch', connected: false });
    expect(failed.message).to.include(impostor.fingerprint);
    expect(serving.contacts).to.deep.equal([]);
    await serving.close();
  });

  it('given a peer whose pins change, when it is asked again, then the new pins count, on a new connection', async () => {
    const serving = await serve(other);
    serving.peers.add('us', own);
    const peer = peerAt(serving.port);
    expect((await client.askIdentity(peer)).status).to.equal(200);
    const repinned = { ...peer, certificates: [pinCertificate(own.certificate)] };
    expect((await failure(client.askIdentity(repinned))).code).to.equal('peer_certificate_mismatch');
    expect((await client.askIdentity(peer)).status).to.equal(200);
    await serving.close();
  });

  it('given a new certificate of our own, when it is set, then the peer sees it', async () => {
    const next = makeIdentity('node');
    const serving = await serve(other);
    serving.peers.add('next', next);
    const peer = peerAt(serving.port);
    expect((await client.askIdentity(peer)).code).to.equal('unknown_certificate');
    await client.setIdentity(next);
    expect((await client.askIdentity(peer)).status).to.equal(200);
    await serving.close();
  });

  describe('bulk data', () => {
    const bytes = Buffer.from('ballots\n'.repeat(100_000));
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    let folder: string;
    let serving: Serving;
    let peer: ReachablePeer;

    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'conclave-bulk-'));
      serving = await serve(other, {
        mount: (app, requirePeer) => mountFiles(app.use('/data', requirePeer())),
      });
      serving.peers.add('us', own);
      peer = peerAt(serving.port);
    });
    afterEach(async () => {
      await serving.close();
      await rm(folder, { recursive: true });
    });

    function mountFiles(app: Express): void {
      app.get('/data/good', (_request, response) => void response.end(bytes));
      app.get('/data/moved', (_request, response) => response.redirect('/data/good'));
      app.get('/data/endless', (_request, response) => {
        const write = () => {
          while (response.write(bytes)) {}
        };
        response.on('drain', write).on('error', () => {});
        write();
      });
      app.get('/data/broken', (_request, response) => {
        response.write(bytes.subarray(0, 1000), () => response.destroy());
      });
      app.get('/data/silent', (_request, response) => {
        response.write(bytes.subarray(0, 1000));
      });
    }

    const fetch = (name: string, change: object = {}, rest: object = {}) =>
      fetchToFile(
        client,
        { byOrigin: (url) => (url.includes(`:${serving.port}/`) ? peer : undefined) },
        {
          name,
          path: join(folder, 'file'),
          maxBytes: 10_000_000,
          reference: {
            url: `https://127.0.0.1:${serving.port}/data/${name}`,
            size: bytes.length,
            sha256,
            ...change,
          },
          ...rest,
        },
      );

    it('given data that is as announced, when it is fetched, then the file is complete and private', async () => {
      await fetch('good');
      expect(await readFile(join(folder, 'file'))).to.deep.equal(bytes);
      expect((await stat(join(folder, 'file'))).mode & 0o777).to.equal(0o600);
      expect(await readdir(folder)).to.deep.equal(['file']);
    });

    const bad: [string, string, object, object, RegExp][] = [
      ['a wrong hash', 'good', { sha256: '00'.repeat(32) }, {}, /SHA-256 is/],
      [
        'fewer bytes than announced',
        'good',
        { size: bytes.length + 1 },
        {},
        /has 800000 bytes, not the announced 800001/,
      ],
      ['more bytes than announced', 'good', { size: 10 }, {}, /larger than the announced 10/],
      ['data without end', 'endless', {}, {}, /larger than the announced/],
      ['an announced size that is too large', 'good', {}, { maxBytes: 1000 }, /this node accepts 1000/],
      ['nothing there', 'absent', {}, {}, /status 404/],
      ['a redirect', 'moved', {}, {}, /status 302/],
      ['a connection that breaks', 'broken', {}, {}, /./],
      ['a host that is no peer', 'good', { url: 'https://127.0.0.1:1/data/good' }, {}, /not at a peer/],
    ];
    for (const [what, name, change, rest, reason] of bad) {
      it(`given ${what}, when it is fetched, then it fails, and no file is left`, async () => {
        const thrown = await fetch(name, change, rest).then(
          () => null,
          (error: Error) => error,
        );
        expect(thrown).to.have.property('code', 'async_data_failed');
        expect(thrown?.message).to.match(reason);
        // Only what may be otherwise a moment later is worth another attempt.
        const { passing } = (thrown as ConclaveError).data;
        expect(passing).to.equal(name === 'broken' ? true : undefined);
        expect(await readdir(folder)).to.deep.equal([]);
      });
    }

    it('given a task that is cancelled, when its data is being fetched, then the fetching ends', async () => {
      const thrown = await fetch('silent', {}, { signal: AbortSignal.timeout(100) }).then(
        () => null,
        (error: Error) => error,
      );
      expect(thrown).to.have.property('code', 'async_data_failed');
      expect(await readdir(folder)).to.deep.equal([]);
    });
  });
});
