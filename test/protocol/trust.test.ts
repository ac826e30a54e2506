import { connect } from 'node:tls';
import { expect } from 'chai';
import { createFederationServer } from '../../lib/protocol/server.ts';
import { type Call, call, keepAliveAgent, type Serving, serve } from './serving.ts';
import { makeIdentity, recordingLog } from './support.ts';

const MESSAGE = JSON.stringify({ message_id: 'm', action: 'a', sender_url: 'https://x/api/queues' });
const post = (rest: Partial<Call> & { port: number }): Call => ({
  path: '/api/queues/q/',
  body: MESSAGE,
  ...rest,
});

describe('trust on the federation port', () => {
  const own = makeIdentity('node');
  const authority = makeIdentity('authority');
  const client = makeIdentity('client');
  const stranger = makeIdentity('stranger');
  let serving: Serving;

  beforeEach(async () => {
    serving = await serve(own);
    serving.peers.add('authority', authority);
    serving.peers.add('client', client, 'client');
  });
  afterEach(() => serving.close());

  const refused = () => serving.lines.filter(({ event }) => event === 'request_refused');

  it('given the pinned certificate of an authority, when it posts, then the message has its peer id', async () => {
    const reply = await call(post({ port: serving.port, identity: authority }));
    expect([reply.status, reply.text]).to.deep.equal([200, '']);
    expect(serving.received.map(({ peerId }) => peerId)).to.deep.equal(['id-authority']);
    expect(refused()).to.deep.equal([]);
  });

  it('given no certificate, when it posts, then 401 says that one is required', async () => {
    const reply = await call(post({ port: serving.port }));
    expect(reply.status).to.equal(401);
    expect(reply.json).to.deep.equal({
      message: 'a client certificate is required on this port',
      code: 'certificate_required',
    });
    expect(serving.received).to.deep.equal([]);
    expect(refused().map(({ code, status }) => [code, status])).to.deep.equal([
      ['certificate_required', 401],
    ]);
  });

  it('given an unknown certificate, when it posts, then 403 names its fingerprint and what to do, and logs one line', async () => {
    const reply = await call(post({ port: serving.port, identity: stranger }));
    expect(reply.status).to.equal(403);
    expect(reply.json).to.deep.include({
      code: 'unknown_certificate',
      data: { fingerprint: stranger.fingerprint },
    });
    expect(reply.text).to.include('conclave peers add');
    expect(refused()).to.have.length(1);
    expect(refused()[0]).to.deep.include({
      fingerprint: stranger.fingerprint,
      path: '/api/queues/q/',
      method: 'POST',
    });
    expect(JSON.stringify(serving.lines)).not.to.match(/BEGIN|PRIVATE/);
  });

  it('given a certificate with the name and dates of a pinned one but another key, when it posts, then it is unknown', async () => {
    const reply = await call(post({ port: serving.port, identity: makeIdentity('authority') }));
    expect(reply.json).to.include({ code: 'unknown_certificate' });
  });

  it('given a certificate issued by a pinned one, when it posts, then it is unknown: a pin is no authority', async () => {
    const { execFileSync } = await import('node:child_process');
    const { mkdtempSync, readFileSync, rmSync, writeFileSync } = await import('node:fs');
    const folder = mkdtempSync('/tmp/conclave-issued-');
    writeFileSync(`${folder}/ca.pem`, authority.certificate);
    writeFileSync(`${folder}/ca.key`, authority.privateKey);
    const openssl = (...options: string[]) =>
      execFileSync('openssl', options, { stdio: 'pipe', cwd: folder });
    openssl(
      'req',
      '-nodes',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-keyout',
      'k.pem',
      '-out',
      'r.pem',
      '-subj',
      '/CN=i',
    );
    openssl(
      'x509',
      '-req',
      '-in',
      'r.pem',
      '-CA',
      'ca.pem',
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-out',
      'c.pem',
      '-days',
      '2',
    );
    const issued = {
      certificate: readFileSync(`${folder}/c.pem`, 'utf8') + authority.certificate,
      privateKey: readFileSync(`${folder}/k.pem`, 'utf8'),
      fingerprint: '',
    };
    rmSync(folder, { recursive: true });
    const reply = await call(post({ port: serving.port, identity: issued }));
    expect(reply.json).to.include({ code: 'unknown_certificate' });
  });

  it('given a connection that is kept alive, when its peer is removed, then its next request is refused', async () => {
    const agent = keepAliveAgent(authority);
    const before = await call(post({ port: serving.port, identity: authority, agent }));
    serving.peers.remove(authority);
    const after = await call(post({ port: serving.port, identity: authority, agent }));
    agent.destroy();
    expect([before.status, after.status]).to.deep.equal([200, 403]);
  });

  it('given a resumed TLS session of a removed peer, when it posts, then it is refused', async () => {
    const options = {
      host: '127.0.0.1',
      port: serving.port,
      rejectUnauthorized: false,
      cert: authority.certificate,
      key: authority.privateKey,
    };
    const send = (session?: Buffer) =>
      new Promise<{ reply: string; session: Buffer; reused: boolean }>((resolve, reject) => {
        let reply = '';
        let ticket = Buffer.alloc(0);
        const socket = connect({ ...options, ...(session === undefined ? {} : { session }) }, () =>
          socket.write(
            `POST /api/queues/q/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${MESSAGE.length}\r\n\r\n${MESSAGE}`,
          ),
        );
        socket.on('session', (given) => {
          ticket = given;
        });
        socket.on('data', (piece) => {
          reply += piece;
        });
        const reused = () => socket.isSessionReused();
        let resumed = false;
        socket.on('secureConnect', () => {
          resumed = reused();
        });
        socket.on('close', () => resolve({ reply, session: ticket, reused: resumed }));
        socket.on('error', reject);
      });
    const before = await send();
    expect(before.reply).to.match(/^HTTP\/1.1 200/);
    const resumed = await send(before.session);
    expect([resumed.reused, resumed.reply.slice(9, 12)]).to.deep.equal([true, '200']);
    serving.peers.remove(authority);
    const after = await send(before.session);
    expect([after.reused, after.reply.slice(9, 12)]).to.deep.equal([true, '403']);
  });

  it('given a peer without the role, when it posts a message, then 403 names the role; what any peer may ask it may', async () => {
    const reply = await call(post({ port: serving.port, identity: client }));
    expect(reply.status).to.equal(403);
    expect(reply.json).to.deep.include({ code: 'wrong_role', data: { peer: 'client', role: 'authority' } });
    const identity = await call({
      port: serving.port,
      identity: client,
      method: 'GET',
      path: '/api/conclave',
    });
    expect(identity.json).to.deep.equal({ dialect: 'conclave', version: '1.2.3', name: 'test node' });
  });

  it('given strangers, when they ask for anything of the federation, then they learn nothing of it', async () => {
    for (const [method, path] of [
      ['GET', '/api/conclave'],
      ['POST', '/api/conclave/messages'],
      ['GET', '/api/queues/q/'],
      ['POST', '/api/queues/q'],
    ] as const) {
      const reply = await call({ port: serving.port, identity: stranger, method, path });
      expect([method, path, reply.status]).to.deep.equal([method, path, 403]);
    }
  });

  it('given a client that offers TLS 1.2 only, when it connects, then the handshake fails', async () => {
    const failed = await new Promise<string>((resolve) => {
      const socket = connect(
        { host: '127.0.0.1', port: serving.port, rejectUnauthorized: false, maxVersion: 'TLSv1.2' },
        () => resolve(''),
      );
      socket.on('error', (error: NodeJS.ErrnoException) => resolve(String(error.code)));
    });
    expect(failed).to.match(/TLSV1_ALERT_PROTOCOL_VERSION|ALERT/);
  });

  it('given a new certificate of our own, when it is set, then new connections show it', async () => {
    const next = makeIdentity('node');
    serving.server.setIdentity(next);
    const shown = await new Promise<string>((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port: serving.port, rejectUnauthorized: false }, () => {
        resolve(socket.getPeerCertificate().fingerprint256.replaceAll(':', '').toLowerCase());
        socket.destroy();
      });
      socket.on('error', reject);
    });
    expect(shown).to.equal(next.fingerprint);
  });

  it('given mounted routes, when they use requirePeer, then they know the peer and refuse others', async () => {
    const mounted = await serve(own, {
      mount(app, requirePeer) {
        app.get('/hello', requirePeer('client', 'operator'), (_request, response) => {
          response.json({ name: response.locals.peer.name });
        });
        app.get('/open', (_request, response) => {
          response.json('anybody');
        });
      },
    });
    mounted.peers.add('client', client, 'client');
    mounted.peers.add('authority', authority);
    const get = (path: string, identity?: typeof own) =>
      call({ port: mounted.port, method: 'GET', path, ...(identity === undefined ? {} : { identity }) });
    expect((await get('/hello', client)).json).to.deep.equal({ name: 'client' });
    expect((await get('/hello', authority)).json).to.deep.include({ code: 'wrong_role' });
    expect((await get('/hello')).status).to.equal(401);
    expect((await get('/open')).json).to.equal('anybody');
    expect((await get('/nothing')).json).to.deep.include({ code: 'not_found' });
    await mounted.close();
  });

  describe('behind a proxy that terminates TLS', () => {
    const header = (identity: { certificate: string }) => ({
      'X-Sender-SSL-Certificate': identity.certificate.trim().replaceAll('\n', '\t'),
    });

    it('given a certificate header from anywhere, when no proxy is configured, then it is refused, even with a pinned certificate', async () => {
      const reply = await call(post({ port: serving.port, identity: authority, headers: header(authority) }));
      expect(reply.status).to.equal(403);
      expect(reply.json).to.deep.include({ code: 'proxy_not_allowed' });
      expect(serving.received).to.deep.equal([]);
      expect(refused().map(({ code }) => code)).to.deep.equal(['proxy_not_allowed']);
    });

    it('given a configured proxy, when it forwards a pinned certificate in any of its forms, then it is that peer', async () => {
      const behind = await serve(own, { tls: null, proxies: ['127.0.0.0/8'] });
      behind.peers.add('authority', authority);
      const forms = [
        header(authority),
        { 'X-Sender-SSL-Certificate': encodeURIComponent(authority.certificate) },
      ];
      for (const headers of forms) {
        expect((await call(post({ port: behind.port, plain: true, headers }))).status).to.equal(200);
      }
      const unknown = await call(post({ port: behind.port, plain: true, headers: header(stranger) }));
      expect(unknown.json).to.deep.include({ code: 'unknown_certificate' });
      const none = await call(post({ port: behind.port, plain: true }));
      expect(none.json).to.deep.include({ code: 'certificate_required' });
      const bad = await call(
        post({ port: behind.port, plain: true, headers: { 'X-Sender-SSL-Certificate': 'x' } }),
      );
      expect(bad.json).to.deep.include({ code: 'invalid_request' });
      await behind.close();
    });

    it('given another address than the proxy’s, when it forwards a certificate, then it is refused', async () => {
      const behind = await serve(own, { tls: null, proxies: ['10.0.0.1', '2001:db8::/32'] });
      behind.peers.add('authority', authority);
      const reply = await call(post({ port: behind.port, plain: true, headers: header(authority) }));
      expect(reply.json).to.deep.include({ code: 'proxy_not_allowed' });
      await behind.close();
    });

    it('given settings that make no sense, when the server is made, then they are refused', () => {
      const options = {
        peers: serving.peers,
        name: 'n',
        version: '1',
        log: recordingLog().log,
        receive: async () => [],
      };
      expect(() => createFederationServer({ ...options, tls: null })).to.throw(/proxies/);
      for (const entry of ['example.org', '10.0.0.0/33', '10.0.0.0/8/1', '10.0.0.0/x', '']) {
        expect(() => createFederationServer({ ...options, tls: own, proxies: [entry] }), entry).to.throw(
          /proxies: /,
        );
      }
    });
  });
});
