import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';

import { expect } from 'chai';

import type { ConclaveError } from '../../lib/errors.ts';
import {
  type DownloadOptions,
  Outgoing,
  type OutgoingOptions,
  type Resolve,
} from '../../lib/node/outgoing.ts';
import { kindOfAddress } from '../../lib/node/outgoing-policy.ts';
import { identity } from '../tasks/election/certificates.ts';

const own = identity('node');
const site = identity('site');
const LOOPBACK = { allowed: [], allowLoopback: true };

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

describe('requests that others asked for (D25)', () => {
  let folder: string;
  let server: Server;
  let handler: Handler;
  let requests: { url: string; client: string | undefined; body: string }[];
  let port: number;

  before(async () => {
    server = createServer(
      { key: site.key, cert: site.cert, requestCert: true, rejectUnauthorized: false },
      (request, response) => {
        const parts: Buffer[] = [];
        request.on('data', (part: Buffer) => parts.push(part));
        request.on('end', () => {
          const certificate = (request.socket as TLSSocket).getPeerX509Certificate();
          requests.push({
            url: request.url!,
            client: certificate?.toString(),
            body: Buffer.concat(parts).toString(),
          });
          handler(request, response);
        });
      },
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    port = (server.address() as AddressInfo).port;
  });
  after(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'conclave-outgoing-'));
    requests = [];
    handler = (_request, response) => response.end('ballots');
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  const outgoing = (options: Partial<OutgoingOptions> = {}): Outgoing =>
    new Outgoing({ policy: LOOPBACK, authorities: [site.cert], ...options });
  const at = (path = '/votes', host = '127.0.0.1'): string => `https://${host}:${port}${path}`;
  const download = (
    url = at(),
    options: Partial<DownloadOptions> & { client?: Outgoing } = {},
  ): Promise<{ sha256: Buffer; size: number }> =>
    (options.client ?? outgoing()).download(url, join(folder, 'votes'), { maxBytes: 1000, ...options });

  /** What a request fails with; nothing may be left on disk. */
  async function failure(request: Promise<unknown>): Promise<ConclaveError> {
    const thrown = await request.then(
      () => new Error('it succeeded'),
      (error: unknown) => error,
    );
    expect(thrown).to.have.property('name', 'ConclaveError');
    expect(await readdir(folder)).to.deep.equal([]);
    return thrown as ConclaveError;
  }
  const refusalOf = async (request: Promise<unknown>): Promise<string> => {
    const error = await failure(request);
    expect(error.code).to.equal('outgoing_refused');
    return error.data.reason as string;
  };
  const problemOf = async (request: Promise<unknown>): Promise<string> => {
    const error = await failure(request);
    expect(error.code).to.equal('outgoing_failed');
    return error.data.problem as string;
  };

  describe('given a server that is allowed and trusted', () => {
    it('when a file is fetched, then it is on disk, private, with its hash (EO-32)', async () => {
      const contents = Buffer.alloc(900_000, 'vote\n');
      handler = (_request, response) => response.end(contents);
      const sha256 = createHash('sha256').update(contents).digest();
      expect(await download(at('/votes?tally=1'), { maxBytes: 900_000, sha256 })).to.deep.equal({
        sha256,
        size: 900_000,
      });
      expect(await readFile(join(folder, 'votes'))).to.deep.equal(contents);
      expect((await stat(join(folder, 'votes'))).mode & 0o777).to.equal(0o600);
      expect(await readdir(folder)).to.deep.equal(['votes']);
      expect(requests[0]!.url).to.equal('/votes?tally=1');
    });

    it('when JSON is posted, then the server receives it and our certificate (EO-27)', async () => {
      const client = outgoing({ identity: { certificate: own.cert, privateKey: own.key } });
      const answer = await client.postJson(at('/callback'), { status: 'finished' });
      expect(answer).to.deep.equal({ status: 200, body: 'ballots' });
      expect(requests[0]!.body).to.equal('{"status":"finished"}');
      expect(requests[0]!.client!.replaceAll(/\s/g, '')).to.equal(own.cert.replaceAll(/\s/g, ''));
    });

    it('when its certificate is pinned, then no authority and no host name is needed', async () => {
      const client = outgoing({
        authorities: [],
        resolve: async () => [{ address: '127.0.0.1', family: 4 }],
      });
      expect(
        await download(at('/votes', 'other.example.org'), { client, pinned: [own.cert, site.cert] }),
      ).to.have.property('size', 7);
    });
  });

  describe('given a server that is not who it should be', () => {
    it('when no authority vouches for it, then nothing is sent', async () => {
      expect(await problemOf(download(at(), { client: outgoing({ authorities: [] }) }))).to.equal(
        'certificate',
      );
      expect(requests).to.deep.equal([]);
    });

    it('when its certificate is for another host, then nothing is sent', async () => {
      const client = outgoing({ resolve: async () => [{ address: '127.0.0.1', family: 4 }] });
      expect(await problemOf(download(at('/votes', 'elsewhere.example.org'), { client }))).to.equal(
        'certificate',
      );
      expect(requests).to.deep.equal([]);
    });

    it('when another certificate is pinned, then nothing is sent, even if an authority vouches for it', async () => {
      expect(await problemOf(download(at(), { pinned: [own.cert] }))).to.equal('certificate');
      expect(await problemOf(download(at(), { pinned: [] }))).to.equal('certificate');
      expect(requests).to.deep.equal([]);
    });
  });

  describe('given a URL that leads elsewhere', () => {
    it('when it is not https, has credentials or is no URL, then it is refused', async () => {
      for (const url of [
        `http://127.0.0.1:${port}/`,
        'file:///etc/passwd',
        `https://u:p@127.0.0.1:${port}/`,
        'votes',
        `https://x/${'a'.repeat(3000)}`,
      ]) {
        await refusalOf(download(url));
      }
      expect(requests).to.deep.equal([]);
    });

    it('when it redirects, then the redirect is not followed, not even to an allowed place', async () => {
      for (const status of [301, 302, 303, 307, 308]) {
        handler = (_request, response) => response.writeHead(status, { location: at('/elsewhere') }).end();
        expect(await problemOf(download())).to.equal('redirect');
        expect(await problemOf(outgoing().postJson(at(), {}))).to.equal('redirect');
      }
      expect(requests.map(({ url }) => url)).to.not.include('/elsewhere');
    });

    it('when this machine is not allowed, then every spelling of its address is refused', async () => {
      const client = outgoing({ policy: { allowed: ['example.org', 'localhost'], allowLoopback: false } });
      for (const host of [
        '127.0.0.1',
        '127.1',
        '0x7f000001',
        '2130706433',
        '[::1]',
        '[::ffff:127.0.0.1]',
        'localhost',
      ]) {
        expect(await refusalOf(download(at('/', host), { client }))).to.include('this machine');
        const callback = client.postJson(at('/callback', host), { status: 'finished' });
        expect(await refusalOf(callback)).to.include('this machine');
      }
      expect(requests).to.deep.equal([]);
    });

    it('when one of several addresses is not allowed, then all is refused', async () => {
      const policy = { allowed: ['votes.example.org'], allowLoopback: false };
      for (const address of [
        '10.0.0.1',
        '127.0.0.1',
        '169.254.169.254',
        'fd00::1',
        'fe80::1',
        '::ffff:192.168.0.1',
      ]) {
        const resolve: Resolve = async () => [
          { address: '93.184.215.14', family: 4 },
          { address, family: address.includes(':') ? 6 : 4 },
        ];
        const reason = await refusalOf(outgoing({ policy, resolve }).check(at('/', 'votes.example.org')));
        expect(reason).to.include(address);
      }
    });

    it('when its name answers differently the second time, then nobody asks a second time', async () => {
      let asked = 0;
      const resolve: Resolve = async () => {
        asked += 1;
        return [{ address: asked === 1 ? '127.0.0.1' : '10.0.0.1', family: 4 }];
      };
      const client = outgoing({ resolve });
      expect(await download(at('/', 'votes.example.org'), { client })).to.have.property('size', 7);
      expect(asked).to.equal(1);
      expect(
        await refusalOf(
          download(at('/', 'votes.example.org'), { client }).finally(() => rm(join(folder, 'votes'))),
        ),
      ).to.include('10.0.0.1');
    });

    it('when its name has no address or nobody knows it, then that is said', async () => {
      const empty = outgoing({ resolve: async () => [] });
      expect(await refusalOf(download(at('/', 'votes.example.org'), { client: empty }))).to.include(
        'no address',
      );
      const unknown = outgoing({ resolve: async () => Promise.reject(new Error('ENOTFOUND')) });
      expect(await problemOf(download(at('/', 'votes.example.org'), { client: unknown }))).to.equal(
        'unresolved',
      );
    });
  });

  describe('given a policy', () => {
    const publicSite: Resolve = async () => [{ address: '93.184.215.14', family: 4 }];
    const privateSite: Resolve = async () => [{ address: '10.1.2.3', family: 4 }];
    const allows = (allowed: string[], resolve: Resolve, host = 'votes.example.org'): Promise<boolean> =>
      outgoing({ policy: { allowed, allowLoopback: false }, resolve })
        .check(at('/', host))
        .then(
          () => true,
          (error: ConclaveError) => {
            expect(error.code).to.equal('outgoing_refused');
            return false;
          },
        );

    it('when nothing is listed, then nothing is allowed', async () => {
      expect(await allows([], publicSite)).to.equal(false);
    });

    it('when a host is listed, then exactly it is, in any spelling of its letters', async () => {
      expect(await allows(['votes.example.org'], publicSite)).to.equal(true);
      expect(await allows(['votes.example.org'], publicSite, 'VOTES.example.org.')).to.equal(true);
      expect(await allows(['example.org'], publicSite)).to.equal(false);
      expect(await allows(['votes.example.org'], publicSite, 'votes.example.org.evil.org')).to.equal(false);
    });

    it('when a host is listed, then its private addresses need to be listed too', async () => {
      expect(await allows(['votes.example.org'], privateSite)).to.equal(false);
      expect(await allows(['votes.example.org', '10.1.2.3'], privateSite)).to.equal(true);
      expect(await allows(['10.1.0.0/16'], privateSite)).to.equal(true);
      expect(await allows(['10.2.0.0/16'], privateSite)).to.equal(false);
    });

    it('when a metadata service or link-local address is in a listed network, then it is refused all the same', async () => {
      expect(await allows(['0.0.0.0/0'], async () => [{ address: '169.254.169.254', family: 4 }])).to.equal(
        false,
      );
      expect(
        await allows(['::/0', '0.0.0.0/0'], async () => [{ address: '::ffff:a9fe:a9fe', family: 6 }]),
      ).to.equal(false);
      expect(await allows(['0.0.0.0/0'], publicSite)).to.equal(true);
    });
  });

  describe('given a server that means harm or is broken', () => {
    it('when it announces or sends more than the limit, then it is cut off and nothing is kept', async () => {
      handler = (_request, response) =>
        response.writeHead(200, { 'content-length': '5000' }).end(Buffer.alloc(5000));
      expect(await problemOf(download())).to.equal('too_large');
      let sent = 0;
      handler = (_request, response) => {
        const more = (): void => {
          while (!response.destroyed && response.write(Buffer.alloc(10_000))) sent += 10_000;
        };
        response.on('drain', more);
        more();
      };
      expect(await problemOf(download())).to.equal('too_large');
      expect(sent).to.be.lessThan(50 << 20);
      expect(await problemOf(outgoing().postJson(at(), {}))).to.equal('too_large');
    });

    it('when it sends a byte now and then, then the time for all of it ends', async () => {
      handler = (_request, response) => {
        const drip = setInterval(() => response.write('x'), 20);
        response.on('close', () => clearInterval(drip));
      };
      const client = outgoing({ timeouts: { download: 300, post: 300, idle: 10_000 } });
      expect(await problemOf(download(at(), { client }))).to.equal('too_slow');
      expect(await problemOf(client.postJson(at(), {}))).to.equal('too_slow');
    });

    it('when it never answers, or its name never resolves, then the time ends too', async () => {
      handler = () => undefined;
      expect(await problemOf(download(at(), { client: outgoing({ timeouts: { download: 200 } }) }))).to.equal(
        'too_slow',
      );
      const resolve: Resolve = () => new Promise(() => undefined);
      const client = outgoing({ resolve, timeouts: { download: 100 } });
      expect(await problemOf(download(at('/', 'votes.example.org'), { client }))).to.equal('too_slow');
    });

    it('when the contents have another hash, then they are not kept, and both hashes are named', async () => {
      const error = await failure(download(at(), { sha256: Buffer.alloc(32) }));
      expect(error.data).to.include({ problem: 'hash_mismatch', expected: '00'.repeat(32) });
      expect(error.data.actual).to.equal(createHash('sha256').update('ballots').digest('hex'));
    });

    it('when it answers with an error, compressed contents or a part, then that is said', async () => {
      for (const status of [204, 206, 400, 404, 500]) {
        handler = (_request, response) => response.writeHead(status).end();
        expect(await problemOf(download())).to.equal('status');
      }
      handler = (_request, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('x');
      expect(await problemOf(download())).to.equal('encoded');
    });

    it('when it closes in the middle, then nothing is kept', async () => {
      handler = (_request, response) => {
        response.writeHead(200, { 'content-length': '100' });
        response.write('half', () => response.destroy());
      };
      expect(await problemOf(download())).to.equal('unreachable');
    });

    it('when nothing listens there, then that is said without the query of the URL', async () => {
      const error = await failure(download('https://127.0.0.1:1/votes?token=secret'));
      expect(error.data).to.include({ problem: 'unreachable', url: 'https://127.0.0.1:1/votes' });
      expect(error.message).to.not.include('secret');
    });
  });

  it('given a caller who stops, then the request ends and nothing is kept', async () => {
    const controller = new AbortController();
    handler = (_request, response) => {
      response.write('x', () => controller.abort());
    };
    expect(await problemOf(download(at(), { signal: controller.signal }))).to.equal('aborted');
    expect(await problemOf(download(at(), { signal: AbortSignal.abort() }))).to.equal('aborted');
  });

  it('given a destination that cannot be written, then that is the problem', async () => {
    const request = outgoing().download(at(), join(folder, 'none/votes'), { maxBytes: 100 });
    expect(await problemOf(request)).to.equal('disk');
  });
});

describe('the kinds of addresses', () => {
  const cases = {
    public: ['93.184.215.14', '1.1.1.1', '2606:4700::1111', '100.128.0.1', '172.32.0.1', '::ffff:1.1.1.1'],
    private: [
      '10.0.0.1',
      '172.16.0.1',
      '172.31.255.255',
      '192.168.1.1',
      '100.64.0.1',
      'fc00::1',
      'fd12::1',
      '::ffff:10.0.0.1',
    ],
    loopback: ['127.0.0.1', '127.255.255.254', '::1', '::ffff:127.0.0.1', '0:0:0:0:0:ffff:7f00:1'],
    never: [
      '0.0.0.0',
      '169.254.169.254',
      '100.100.100.200',
      '168.63.129.16',
      'fd00:ec2::254',
      '224.0.0.1',
      '255.255.255.255',
      '198.18.0.1',
      '203.0.113.5',
      '::',
      'fe80::1',
      'fe80::1%eth0',
      'ff02::1',
      '64:ff9b::7f00:1',
      '2002:7f00:1::',
      '2001::1',
      '2001:db8::1',
      '::127.0.0.1',
      '::ffff:169.254.169.254',
      'example.org',
      '',
    ],
  } as const;
  for (const [kind, addresses] of Object.entries(cases)) {
    it(`given addresses that are ${kind}, then they are known as such`, () => {
      for (const address of addresses) expect(kindOfAddress(address), address).to.equal(kind);
    });
  }
});
