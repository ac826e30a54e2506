import { execFileSync } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { expect } from 'chai';
import {
  certificatesDiffer,
  createNodeCertificate,
  describeCertificate,
  type KeyType,
  type NodeCertificate,
  writeNodeCertificate,
} from '../../lib/node/certificates.ts';
import { fingerprintWords, readFingerprintWords } from '../../lib/protocol/fingerprint-words.ts';

const REQUEST = { name: 'Aütoridad Uno', hosts: ['one.example.org', '127.0.0.1', '2001:db8::1'] };
const DAY = 86_400_000;

describe('node certificates', () => {
  const made = new Map<KeyType, NodeCertificate>();
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'conclave-certificates-'));
    for (const keyType of ['ecdsa-p256', 'rsa-2048'] as const) {
      made.set(keyType, await createNodeCertificate({ ...REQUEST, keyType }));
    }
  });
  after(() => rm(folder, { recursive: true }));

  for (const keyType of ['ecdsa-p256', 'rsa-2048'] as const) {
    describe(`given a key of type ${keyType}`, () => {
      it('when its certificate is read, then it is self-signed, for both ends of TLS, and no authority', () => {
        const { certificate, privateKey, fingerprint } = made.get(keyType)!;
        const read = new X509Certificate(certificate);
        expect(read.verify(read.publicKey)).to.equal(true);
        expect(read.checkPrivateKey(createPrivateKey(privateKey))).to.equal(true);
        expect(read.ca).to.equal(false);
        expect(read.subject).to.equal(`CN=${REQUEST.name}`);
        expect(read.checkHost('one.example.org')).to.equal('one.example.org');
        expect(read.checkIP('2001:db8::1')).to.equal('2001:db8::1');
        expect(read.fingerprint256.replaceAll(':', '').toLowerCase()).to.equal(fingerprint);
        expect(read.serialNumber).to.match(/^01[0-9A-F]{32}$/);
        expect(read.validToDate.getTime() - Date.now()).to.be.within(824 * DAY, 825 * DAY);
      });

      it('when openssl reads it, then it agrees, and verifies it as its own anchor for both purposes', async () => {
        const file = join(folder, `${keyType}.pem`);
        await writeFile(file, made.get(keyType)!.certificate);
        const text = execFileSync('openssl', ['x509', '-in', file, '-noout', '-text'], { encoding: 'utf8' });
        expect(text).to.include('CA:FALSE').and.to.include('Digital Signature');
        expect(text).to.include('TLS Web Server Authentication, TLS Web Client Authentication');
        expect(text).to.include(keyType === 'ecdsa-p256' ? 'ecdsa-with-SHA256' : 'sha256WithRSAEncryption');
        expect(text).to.match(
          /DNS:one\.example\.org, IP Address:127\.0\.0\.1, IP Address:2001:DB8:0:0:0:0:0:1/,
        );
        for (const purpose of ['sslserver', 'sslclient']) {
          const command = [
            'verify',
            '-x509_strict',
            '-purpose',
            purpose,
            '-CAfile',
            file,
            '-partial_chain',
            file,
          ];
          expect(execFileSync('openssl', command, { encoding: 'utf8' })).to.match(/: OK\n$/);
        }
      });

      it('when two nodes pin each other, then a mutual TLS handshake succeeds both ways', async () => {
        const other = made.get(keyType === 'ecdsa-p256' ? 'rsa-2048' : 'ecdsa-p256')!;
        const seen = await handshake(made.get(keyType)!, other);
        expect(seen).to.deep.equal({
          server: { authorized: true, fingerprint: other.fingerprint },
          client: { authorized: true, fingerprint: made.get(keyType)!.fingerprint },
        });
      });
    });
  }

  it('given a validity beyond 2049, when it is read, then its end is right', async () => {
    const { certificate } = await createNodeCertificate({ ...REQUEST, validityDays: 36_500 });
    const end = new X509Certificate(certificate).validToDate.getTime();
    expect(Math.abs(end - (Date.now() + 36_500 * DAY))).to.be.below(60_000);
  });

  it('given what no certificate can carry, when it is asked for, then it is refused', async () => {
    const wrong = [
      { name: '', hosts: ['a'] },
      { name: 'x'.repeat(65), hosts: ['a'] },
      { name: 'x', hosts: [] },
      { name: 'x', hosts: ['not a host'] },
      { name: 'x', hosts: ['a'], validityDays: 0 },
    ];
    for (const request of wrong) {
      const error = await createNodeCertificate(request).then(
        () => null,
        (reason) => reason,
      );
      expect(error, JSON.stringify(request)).to.have.property('code', 'usage');
    }
  });

  it('given files, when written, then the key is private, and nothing is ever overwritten', async () => {
    const files = { certificate: join(folder, 'c.pem'), key: join(folder, 'k.pem') };
    const node = made.get('ecdsa-p256')!;
    await writeNodeCertificate(node, files);
    expect((await stat(files.key)).mode & 0o777).to.equal(0o600);
    expect(await readFile(files.certificate, 'utf8')).to.equal(node.certificate);
    const refusal = await writeNodeCertificate(made.get('rsa-2048')!, files).then(
      () => null,
      (error) => error,
    );
    expect(refusal.message).to.include(files.key);
    expect(await readFile(files.key, 'utf8')).to.equal(node.privateKey);

    await rm(files.key);
    await writeNodeCertificate(node, files).then(
      () => null,
      (error) => error,
    );
    expect(await stat(files.key).catch((error) => error.code)).to.equal('ENOENT');
  });

  it('given one certificate in several spellings, when compared, then it does not differ; another does', () => {
    const { certificate } = made.get('ecdsa-p256')!;
    const tabbed = certificate.trim().replaceAll('\n', '\n\t');
    expect(certificatesDiffer(certificate, tabbed)).to.equal(false);
    expect(certificatesDiffer(certificate, tabbed.replaceAll('\n', ''))).to.equal(false);
    expect(certificatesDiffer(certificate, encodeURIComponent(certificate))).to.equal(false);
    expect(certificatesDiffer(certificate, made.get('rsa-2048')!.certificate)).to.equal(true);
  });

  it('given a certificate, when it is described, then an operator sees what to compare', () => {
    const { certificate, fingerprint } = made.get('rsa-2048')!;
    const summary = describeCertificate(certificate);
    expect(summary.key).to.equal('rsa 2048');
    expect(summary.names.slice(0, 2)).to.deep.equal(['dns:one.example.org', 'ip:127.0.0.1']);
    expect(summary.fingerprint).to.equal(fingerprint);
    expect(readFingerprintWords(summary.words.join(' '))).to.deep.equal({ fingerprint });
  });
});

describe('fingerprints as words', () => {
  it('given the published example of the PGP word list, when said, then the words are the published ones', () => {
    const words =
      'topmost Istanbul Pluto vagabond treadmill Pacific brackish dictator goldfish Medusa ' +
      'afflict bravado chatter revolver Dupont midsummer stopwatch whimsical cowbell bottomless';
    expect(fingerprintWords('e58294f2e9a227486e8b061b31cc528fd7fa3f19').join(' ')).to.equal(words);
  });

  it('given every byte at both places, when said and read back, then it is the same', () => {
    const all = Buffer.from(Array.from({ length: 512 }, (_, index) => index >> 1)).toString('hex');
    const words = fingerprintWords(all);
    expect(new Set(words.map((word) => word.toLowerCase())).size).to.equal(512);
    expect(readFingerprintWords(words.join(', ').toUpperCase())).to.deep.equal({ fingerprint: all });
  });

  it('given words exchanged, left out or misheard, when read back, then the first wrong place is named', () => {
    expect(readFingerprintWords('Istanbul topmost')).to.deep.equal({ wrong: 'Istanbul', place: 1 });
    expect(readFingerprintWords('topmost Pluto vagabond')).to.deep.equal({ wrong: 'Pluto', place: 2 });
    expect(readFingerprintWords('topmost Istambul')).to.deep.equal({ wrong: 'Istambul', place: 2 });
    expect(readFingerprintWords(' 12 ')).to.deep.equal({ wrong: null, place: 1 });
  });
});

interface Seen {
  authorized: boolean;
  fingerprint: string;
}

/** A real TLS 1.3 handshake in which each end accepts exactly the other's certificate. */
async function handshake(
  server: NodeCertificate,
  client: NodeCertificate,
): Promise<{ server: Seen; client: Seen }> {
  const fingerprint = (socket: TLSSocket) =>
    (socket.getPeerCertificate().fingerprint256 ?? '').replaceAll(':', '').toLowerCase();
  const listening = createServer({
    cert: server.certificate,
    key: server.privateKey,
    ca: client.certificate,
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.3',
  });
  listening.listen(0, '127.0.0.1');
  await once(listening, 'listening');
  const accepted = once(listening, 'secureConnection') as Promise<[TLSSocket]>;
  const socket = connect({
    port: (listening.address() as AddressInfo).port,
    host: '127.0.0.1',
    servername: 'one.example.org',
    cert: client.certificate,
    key: client.privateKey,
    ca: server.certificate,
    minVersion: 'TLSv1.3',
  });
  try {
    await once(socket, 'secureConnect');
    const [serverSide] = await accepted;
    return {
      server: { authorized: serverSide.authorized, fingerprint: fingerprint(serverSide) },
      client: { authorized: socket.authorized, fingerprint: fingerprint(socket) },
    };
  } finally {
    socket.destroy();
    listening.close();
  }
}
