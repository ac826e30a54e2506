import { once } from 'node:events';
import { request as httpsRequest } from 'node:https';
import { connect as tcpConnect } from 'node:net';
import { connect } from 'node:tls';
import { expect } from 'chai';
import type { Receipt } from '../../lib/engine/model.ts';
import { ConclaveError, ERROR_CODES, type ErrorCode } from '../../lib/errors.ts';
import { capturedExchanges, captureNames, rawBody } from './captures.ts';
import { type Call, call, keepAliveAgent, type Serving, serve, tlsOf } from './serving.ts';
import { makeIdentity } from './support.ts';

const own = makeIdentity('node');
const authority = makeIdentity('authority');
const body = (id: string, rest: object = {}) =>
  JSON.stringify({ message_id: id, action: 'a', sender_url: 'https://x/api/queues', ...rest });
const rejected = (code: ErrorCode, data: Record<string, unknown>): Receipt => ({
  outcome: 'rejected',
  failure: new ConclaveError(code, data).toFailure(),
});

describe('the federation server', () => {
  let serving: Serving;
  const LIMITS = {
    maxBodyBytes: 2000,
    bodyMilliseconds: 150,
    maxBytesPerPeer: 3000,
    headersMilliseconds: 300,
  };

  beforeEach(async () => {
    serving = await serve(own, { limits: LIMITS });
    serving.peers.add('authority', authority);
  });
  afterEach(() => serving.close());

  const post = (rest: Partial<Call>) =>
    call({ port: serving.port, identity: authority, path: '/api/queues/q/', ...rest });
  const postBatch = (messages: unknown[], rest: Partial<Call> = {}) =>
    post({ path: '/api/conclave/messages', body: JSON.stringify({ messages }), ...rest });
  const codes = () =>
    serving.lines.filter(({ event }) => event === 'request_refused').map(({ code }) => code);

  describe('answers as the original’s', () => {
    for (const name of captureNames()) {
      it(`given the exchanges in ${name}, when they are replayed, then the answers are the recorded ones`, async () => {
        const agent = keepAliveAgent(authority);
        let replayed = 0;
        serving.engine.receive = async (messages) =>
          messages.map(({ action, queue }) =>
            action === 'nope' || queue === 'nope' || action === 'frestq.virtual_empty_task'
              ? rejected('unknown_action', { action, queue })
              : { outcome: 'accepted' },
          );
        for (const exchange of capturedExchanges(name)) {
          // One exchange is noted without the path that it went to.
          if (!exchange.path.startsWith('/api/queues/') || rawBody(exchange).includes('"m21"')) continue;
          const {
            'Content-Length': _length,
            Connection: _connection,
            Host: _host,
            ...headers
          } = exchange.headers;
          const reply = await post({
            method: exchange.method,
            path: exchange.path,
            headers,
            body: rawBody(exchange),
            agent,
          });
          expect(reply.status, rawBody(exchange)).to.equal(exchange.status);
          replayed += 1;
          if (exchange.status === 200) expect(reply.text).to.equal('');
          if (exchange.status === 400) expect(reply.json).to.deep.equal(exchange.response_body);
          if (exchange.status === 404) expect(reply.json).to.deep.equal(exchange.response_body);
          if (exchange.status === 308) expect(reply.headers.location).to.equal(`${exchange.path}/`);
          if (exchange.status === 405) expect(reply.headers.allow).to.equal('POST');
        }
        agent.destroy();
        expect(replayed).to.be.greaterThan(1);
      });
    }

    it('given every kind of bad body, when it is posted, then it is 400 and nothing is received', async () => {
      const bad: [string | Buffer, string][] = [
        ['', 'invalid json'],
        ['{}', 'invalid json'],
        ['garbage', 'invalid json'],
        ['{"a":', 'invalid json'],
        [Buffer.from([0x7b, 0xff, 0x7d]), 'invalid json'],
        ['{"message_id":"a","message_id":"b"}', 'invalid json'],
        [body('m', { data: [] }).replace('[]', '12345678901234567891'), 'invalid json'],
        ['['.repeat(500), 'invalid json'],
        ['[1]', 'invalid/notfound message_id parameter'],
        [body('x'.repeat(129)), 'invalid/notfound message_id parameter'],
        [body('m', { action: 5 }), 'invalid/notfound action parameter'],
        [body('m', { sender_url: null }), 'invalid/notfound sender_url parameter'],
        [body('m', { pingback_date: 'x' }), 'invalid/notfound pingback_date parameter'],
      ];
      const agent = keepAliveAgent(authority);
      for (const [bytes, message] of bad) {
        const reply = await post({ body: bytes, agent });
        expect([reply.status, reply.json], String(bytes).slice(0, 60)).to.deep.equal([400, { message }]);
        expect(reply.headers['x-conclave-error']).to.match(/^invalid_(json|field)$/);
      }
      agent.destroy();
      expect(serving.received).to.deep.equal([]);
      expect(codes()).to.have.length(bad.length);
    });

    it('given a path with bad escapes, when it is posted to, then it is not found', async () => {
      const reply = await post({ path: '/api/queues/%zz/', body: body('m') });
      expect(reply.status).to.equal(404);
      expect(reply.json).to.deep.include({ code: 'not_found' });
    });

    it('given a queue with an escaped name, when it is posted to, then the engine gets the name', async () => {
      await post({ path: '/api/queues/a%20%2F%C3%BC/', body: body('m') });
      expect(serving.received[0]?.queue).to.equal('a /ü');
      const redirected = await post({ path: '/api/queues/a%20%2F%C3%BC', body: body('m') });
      expect(redirected.headers.location).to.equal('/api/queues/a%20%2F%C3%BC/');
    });
  });

  describe('what the engine says', () => {
    it('given receipts that acknowledge, when a message is posted, then 200 with an empty body', async () => {
      const receipts: Receipt[] = [
        { outcome: 'accepted' },
        { outcome: 'duplicate' },
        { outcome: 'ignored', reason: 'late' },
      ];
      for (const receipt of receipts) {
        serving.engine.receive = async () => [receipt];
        const reply = await post({ body: body('m') });
        expect([reply.status, reply.text], receipt.outcome).to.deep.equal([200, '']);
      }
    });

    it('given rejections, when a message is posted, then the status and text are those of the code', async () => {
      const data = { action: 'a', queue: 'q', taskId: 't' };
      for (const code of [
        'unknown_action',
        'unknown_queue',
        'queue_full',
        'wrong_peer',
        'task_exists',
        'local_only',
      ] as const) {
        serving.engine.receive = async () => [rejected(code, data)];
        const reply = await post({ body: body('m') });
        expect([code, reply.status, reply.headers['x-conclave-error']]).to.deep.equal([
          code,
          ERROR_CODES[code].status,
          code,
        ]);
        expect((reply.json as { message: string }).message).to.equal(new ConclaveError(code, data).message);
      }
      serving.engine.receive = async () => [rejected('queue_full', data)];
      expect((await post({ body: body('m') })).headers['retry-after']).to.equal('5');
    });

    it('given an engine that fails, when a message is posted, then nothing of the error is shown, and the log has it', async () => {
      serving.engine.receive = async () => {
        throw new Error('the password is 1234');
      };
      const reply = await post({ body: body('m') });
      expect(reply.status).to.equal(500);
      expect(reply.text).not.to.include('1234');
      expect(
        serving.lines.some(({ level, reason }) => level === 'error' && String(reason).includes('1234')),
      ).to.equal(true);
    });

    it('given a database that is gone, when a message is posted, then 503 asks to try again', async () => {
      serving.engine.receive = async () => {
        throw Object.assign(new Error('terminating connection'), { code: '57P01' });
      };
      const reply = await post({ body: body('m') });
      expect([reply.status, reply.headers['retry-after']]).to.deep.equal([503, '1']);
      expect(reply.json).to.deep.include({ code: 'database_unavailable' });
    });

    it('given messages that come while others are being received, when they are free, then they go in one batch', async () => {
      const gate = Promise.withResolvers<void>();
      serving.engine.receive = async (messages) => {
        await gate.promise;
        return messages.map((): Receipt => ({ outcome: 'accepted' }));
      };
      const first = post({ body: body('0') });
      while (serving.batches.length === 0) await new Promise((resolve) => setImmediate(resolve));
      const others = Array.from({ length: 6 }, (_, index) => post({ body: body(`${index + 1}`) }));
      while (serving.contacts.length < 7) await new Promise((resolve) => setImmediate(resolve));
      // Every body has been read once a question asked after it is answered.
      await call({ port: serving.port, identity: authority, method: 'GET', path: '/api/conclave' });
      gate.resolve();
      expect((await Promise.all([first, ...others])).map(({ status }) => status)).to.deep.equal(
        Array(7).fill(200),
      );
      expect(serving.batches[0]).to.equal(1);
      expect(serving.batches.length).to.be.lessThan(5);
    });
  });

  describe('batches', () => {
    const entry = (id: string, rest: object = {}) => ({ queue: 'q', ...JSON.parse(body(id, rest)) });

    it('given good and bad messages, when they are posted, then each has its result, in order', async () => {
      serving.engine.receive = async (messages) =>
        messages.map(({ messageId, action, queue }) =>
          messageId === 'c' ? rejected('unknown_action', { action, queue }) : { outcome: 'accepted' },
        );
      const reply = await postBatch([
        entry('a'),
        entry('b', { action: 7 }),
        entry('c'),
        { ...entry('d'), queue: 5 },
        entry('e'),
      ]);
      expect(reply.status).to.equal(200);
      expect(reply.json).to.deep.equal({
        results: [
          { message_id: 'a', status: 200 },
          {
            message_id: 'b',
            status: 400,
            code: 'invalid_field',
            message: 'invalid/notfound action parameter',
          },
          {
            message_id: 'c',
            status: 404,
            code: 'unknown_action',
            message: 'Action handler a not found in the queue q',
          },
          {
            message_id: 'd',
            status: 400,
            code: 'invalid_field',
            message: 'invalid/notfound queue parameter',
          },
          { message_id: 'e', status: 200 },
        ],
      });
      expect(serving.received.map(({ messageId, peerId }) => [messageId, peerId])).to.deep.equal([
        ['a', 'id-authority'],
        ['c', 'id-authority'],
        ['e', 'id-authority'],
      ]);
      expect(serving.contacts).to.deep.equal([['authority', 'conclave']]);
    });

    it('given what is no batch, when it is posted, then 400 says what is wrong', async () => {
      for (const messages of [[], [1]]) {
        const reply = await postBatch(messages);
        expect([reply.status, (reply.json as { code: string }).code]).to.deep.equal([400, 'invalid_request']);
      }
      expect((await post({ path: '/api/conclave/messages', body: 'x' })).status).to.equal(400);
    });

    it('given an engine that cannot receive, when a batch is posted, then the batch as a whole is to be sent again', async () => {
      serving.engine.receive = async () => {
        throw new ConclaveError('database_unavailable');
      };
      expect((await postBatch([entry('a'), entry('b')])).status).to.equal(503);
      const mixed = await postBatch([entry('a'), entry('b', { action: 7 })]);
      expect(mixed.status).to.equal(200);
      expect(mixed.json).to.have.nested.property('results[0].status', 503);
    });

    it('given a message that the engine fails on, when it comes with others, then the others are received all the same', async () => {
      serving.engine.receive = async (messages) => {
        if (messages.some(({ messageId }) => messageId === 'poison')) throw new Error('broken');
        return messages.map((): Receipt => ({ outcome: 'accepted' }));
      };
      const reply = await postBatch(['a', 'b', 'poison', 'c', 'd'].map((id) => entry(id)));
      const { results } = reply.json as { results: { status: number }[] };
      expect(results.map(({ status }) => status)).to.deep.equal([200, 200, 500, 200, 200]);
      expect(serving.lines.filter(({ event }) => event === 'message_failed')).to.have.length(1);
      expect(JSON.stringify(results)).not.to.include('broken');
    });

    it('given other methods, when they are tried, then 405 names the right one', async () => {
      const replies = await Promise.all([
        post({ path: '/api/conclave/messages', method: 'GET' }),
        post({ path: '/api/conclave', body: '{}' }),
        post({ method: 'DELETE' }),
      ]);
      expect(replies.map(({ status, headers }) => [status, headers.allow])).to.deep.equal([
        [405, 'POST'],
        [405, 'GET'],
        [405, 'POST'],
      ]);
    });
  });

  describe('limits', () => {
    it('given a body announced as too large, when it is posted, then 413 at once, without reading it', async () => {
      const reply = await post({ body: Buffer.alloc(500_000, 0x20) });
      expect(reply.status).to.equal(413);
      expect(reply.json).to.deep.include({ code: 'body_too_large', data: { limit: 2000 } });
      expect(reply.headers.connection).to.equal('close');
    });

    it('given a body that grows too large in pieces, when the limit is passed, then 413', async () => {
      const request = httpsRequest({
        host: '127.0.0.1',
        port: serving.port,
        method: 'POST',
        path: '/api/queues/q/',
        ...tlsOf(authority),
        agent: false,
      });
      request.on('error', () => {});
      for (let piece = 0; piece < 5; piece += 1) request.write(Buffer.alloc(500, 0x20));
      const [response] = await once(request, 'response');
      expect(response.statusCode).to.equal(413);
      request.destroy();
    });

    it('given a body that comes drop by drop, when its time is up, then 408 and the connection ends', async () => {
      const request = httpsRequest({
        host: '127.0.0.1',
        port: serving.port,
        method: 'POST',
        path: '/api/queues/q/',
        ...tlsOf(authority),
        agent: false,
      });
      request.on('error', () => {});
      request.write('{"mess');
      const drip = setInterval(() => request.write('a'), 20);
      const [response] = await once(request, 'response');
      clearInterval(drip);
      expect([response.statusCode, response.headers['x-conclave-error']]).to.deep.equal([
        408,
        'body_timeout',
      ]);
      response.resume();
      await once(response, 'close');
      expect(codes()).to.deep.equal(['body_timeout']);
    });

    it('given headers that come drop by drop, when their time is up, then the connection ends', async () => {
      const socket = connect({ host: '127.0.0.1', port: serving.port, ...tlsOf(authority) });
      let reply = '';
      socket.on('data', (piece) => {
        reply += piece;
      });
      socket.on('error', () => {});
      await once(socket, 'secureConnect');
      socket.write('POST /api/queues/q/ HTTP/1.1\r\nHost: x\r\nX-');
      await once(socket, 'close');
      expect(reply).to.match(/^HTTP\/1.1 408/);
    });

    it('given somebody who holds every connection without a certificate, when their time is up, then a peer is served', async () => {
      const flooded = await serve(own, {
        limits: { ...LIMITS, maxConnections: 5, headersMilliseconds: 300, handshakeMilliseconds: 300 },
      });
      flooded.peers.add('authority', authority);
      const sockets = Array.from({ length: 20 }, () => tcpConnect(flooded.port, '127.0.0.1'));
      try {
        for (const socket of sockets) socket.on('error', () => {}).resume();
        await Promise.all(sockets.map((socket) => once(socket, 'close')));
        const { status } = await call({
          port: flooded.port,
          identity: authority,
          path: '/api/queues/q/',
          body: body('after the flood'),
        });
        expect(status).to.equal(200);
      } finally {
        for (const socket of sockets) socket.destroy();
        await flooded.close();
      }
    });

    it('given a client that goes away in the middle of a body, when the next one posts, then it is served', async () => {
      const request = httpsRequest({
        host: '127.0.0.1',
        port: serving.port,
        method: 'POST',
        path: '/api/queues/q/',
        ...tlsOf(authority),
        agent: false,
      });
      request.on('error', () => {});
      request.write('{"mess');
      while (serving.contacts.length === 0) await new Promise((resolve) => setImmediate(resolve));
      request.destroy();
      expect((await post({ body: body('m') })).status).to.equal(200);
      expect(codes()).to.deep.equal([]);
    });

    it('given a peer whose messages fill its share of memory, when it posts more, then 503; others are served', async () => {
      const other = makeIdentity('other');
      serving.peers.add('other', other);
      const gate = Promise.withResolvers<void>();
      serving.engine.receive = async (messages) => {
        await gate.promise;
        return messages.map((): Receipt => ({ outcome: 'accepted' }));
      };
      const big = { data: 'x'.repeat(1700) };
      const first = post({ body: body('1', big) });
      while (serving.received.length === 0) await new Promise((resolve) => setImmediate(resolve));
      const second = await post({ body: body('2', big) });
      expect([second.status, second.headers['x-conclave-error']]).to.deep.equal([503, 'queue_full']);
      const third = post({ body: body('3', big), identity: other });
      gate.resolve();
      expect([(await first).status, (await third).status]).to.deep.equal([200, 200]);
      expect((await post({ body: body('4', big) })).status).to.equal(200);
    });

    it('given headers without end, when they pass the limit, then 431 or an end', async () => {
      const reply = await post({ body: body('m'), headers: { 'X-Long': 'x'.repeat(40_000) } });
      expect(reply.status).to.equal(431);
    });

    it('given bytes that are no HTTP and no TLS, when they come, then the server lives on', async () => {
      const plain = tcpConnect(serving.port, '127.0.0.1', () => plain.write('GET / HTTP/1.1\r\n\r\n'));
      plain.on('error', () => {});
      await once(plain, 'close');
      const garbage = connect({ host: '127.0.0.1', port: serving.port, ...tlsOf(authority) }, () =>
        garbage.write('\0\0\0\r\n\r\n'),
      );
      garbage.on('error', () => {}).resume();
      await once(garbage, 'close');
      expect((await post({ body: body('m') })).status).to.equal(200);
      expect(serving.lines.some(({ event }) => event === 'connection_refused')).to.equal(true);
    });
  });

  it('given a request under way, when the server closes, then it is answered, and new ones are refused', async () => {
    const gate = Promise.withResolvers<void>();
    serving.engine.receive = async (messages) => {
      await gate.promise;
      return messages.map((): Receipt => ({ outcome: 'accepted' }));
    };
    const agent = keepAliveAgent(authority);
    await call({ port: serving.port, identity: authority, method: 'GET', path: '/api/conclave', agent });
    const first = post({ body: body('m') });
    while (serving.received.length === 0) await new Promise((resolve) => setImmediate(resolve));
    // A second connection is in the middle of a request when the server begins to close.
    const late = httpsRequest({
      host: '127.0.0.1',
      port: serving.port,
      method: 'POST',
      path: '/api/queues/q/',
      agent,
      headers: { 'content-length': '10' },
    });
    late.flushHeaders();
    while (serving.contacts.length < 3) await new Promise((resolve) => setImmediate(resolve));
    const closed = serving.close();
    gate.resolve();
    expect((await first).status).to.equal(200);
    late.on('error', () => {}).destroy();
    agent.destroy();
    await closed;
    const refused = await post({ body: body('n') }).then(
      () => 'answered',
      (error: NodeJS.ErrnoException) => error.code,
    );
    expect(refused).to.equal('ECONNREFUSED');
  });
});
