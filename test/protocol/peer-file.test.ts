import { expect } from 'chai';
import {
  certificateFromHeader,
  fingerprintOf,
  pinCertificate,
  readableFingerprint,
} from '../../lib/protocol/certificate.ts';
import { readPeerFile, writePeerFile } from '../../lib/protocol/peer-file.ts';
import { conclavePath, normalisePeerUrl, queuePath } from '../../lib/protocol/peer-url.ts';
import { makeIdentity } from './support.ts';

describe('peer files', () => {
  const identity = makeIdentity('authority-a');
  const description = {
    name: 'Authority A',
    url: 'https://A.example.org:5000/api/queues/',
    roles: ['authority' as const],
    certificate: identity.certificate,
  };

  for (const key of ['ec', 'ed25519', 'rsa'] as const) {
    it(`given a certificate with an ${key} key, when the file is written and read, then it says what was meant`, () => {
      const { certificate, privateKey, fingerprint } = makeIdentity('x', key);
      const text = writePeerFile({ ...description, certificate }, privateKey);
      expect(readPeerFile(Buffer.from(text))).to.deep.equal({
        name: 'Authority A',
        url: 'https://a.example.org:5000/api/queues',
        roles: ['authority'],
        certificate,
        fingerprint,
      });
    });
  }

  it('given a file, when any field is altered, then it is refused and says why', () => {
    const file = JSON.parse(writePeerFile(description, identity.privateKey));
    const other = makeIdentity('mallory');
    const changes: [object, RegExp][] = [
      [{ name: 'Authority B' }, /signature/],
      [{ url: 'https://mallory.example.org/api/queues' }, /signature/],
      [{ roles: ['authority', 'operator'] }, /signature/],
      [{ certificate: other.certificate }, /fingerprint/],
      [{ certificate: other.certificate, fingerprint: other.fingerprint }, /signature/],
      [{ signature: Buffer.from('x').toString('base64') }, /signature/],
      [{ conclave_peer: 2 }, /conclave_peer/],
      [{ extra: 1 }, /extra/],
      [{ roles: [] }, /roles/],
      [{ name: '../../etc' }, /name/],
    ];
    for (const [change, reason] of changes) {
      const text = JSON.stringify({ ...file, ...change });
      expect(() => readPeerFile(Buffer.from(text)), JSON.stringify(change).slice(0, 80)).to.throw(reason);
    }
    expect(() => readPeerFile(Buffer.from('{'))).to.throw(/not JSON/);
    expect(() => readPeerFile(Buffer.alloc(70_000, 0x20))).to.throw(/larger than/);
  });

  it('given the key of another certificate, when a file is written, then it is refused', () => {
    expect(() => writePeerFile(description, makeIdentity('other').privateKey)).to.throw(/private key is not/);
  });

  it('given the forms in which proxies write a certificate header, when read, then it is the certificate', () => {
    const pem = identity.certificate;
    const forms = [
      pem.replaceAll('\n', '\t'),
      pem.replaceAll('\n', '\n\t'),
      encodeURIComponent(pem),
      pem.replaceAll('\n', ' '),
    ];
    for (const form of forms)
      expect(fingerprintOf(certificateFromHeader(form).raw)).to.equal(identity.fingerprint);
    for (const bad of [
      '',
      '%zz',
      'x',
      pem + pem,
      pem.slice(0, 200),
      '-----BEGIN CERTIFICATE-----\tAAAA\t-----END CERTIFICATE-----',
    ]) {
      expect(() => certificateFromHeader(bad), bad.slice(0, 40)).to.throw(/certificate/);
    }
  });

  it('given a certificate, when it is pinned, then its fingerprint is what openssl shows', () => {
    const { fingerprint, not_after: end } = pinCertificate(identity.certificate);
    expect(readableFingerprint(fingerprint)).to.match(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
    expect(new Date(end).getTime()).to.be.greaterThan(Date.now());
  });

  it('given spellings of a URL, when they are normalised, then they are one; what is no peer’s URL is refused', () => {
    for (const text of ['https://A.example.org/api/queues', 'https://a.EXAMPLE.org:443/api/queues//']) {
      expect(normalisePeerUrl(text)).to.equal('https://a.example.org/api/queues');
    }
    for (const text of [
      'http://a/api',
      'ftp://a',
      'nothing',
      'https://u:p@a/',
      'https://a/?q',
      'https://a/#f',
      `https://a/${'x'.repeat(1100)}`,
    ]) {
      expect(() => normalisePeerUrl(text), text.slice(0, 40)).to.throw(/url:/);
    }
  });

  it('given a peer’s URL, when paths are made from it, then queues lie below and Conclave’s endpoints beside', () => {
    expect(queuePath('https://a/api/queues', 'internal.frestq')).to.equal('/api/queues/internal.frestq/');
    expect(queuePath('https://a', 'a/b c')).to.equal('/a%2Fb%20c/');
    expect(conclavePath('https://a/prefix/api/queues')).to.equal('/prefix/api/conclave');
    expect(conclavePath('https://a')).to.equal('/conclave');
  });
});
