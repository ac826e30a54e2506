import { X509Certificate } from 'node:crypto';
import { expect } from 'chai';
import { ConclaveError } from '../../lib/errors.ts';
import { pinCertificate } from '../../lib/protocol/certificate.ts';
import { identity } from '../tasks/election/certificates.ts';

describe('a certificate whose dates are none', () => {
  it('given an end of validity in no month, when it is pinned, then it is refused as a bad request (found by fuzzing)', () => {
    const der = Buffer.from(new X509Certificate(identity('dates').cert).raw);
    // UTCTime: tag 0x17, 13 octets YYMMDDhhmmssZ; the second one is the end.
    const head = Buffer.from([0x17, 13]);
    const end = der.indexOf(head, der.indexOf(head) + 15);
    der.write('99', end + 4, 'latin1');
    const pem = `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----\n`;
    expect(() => pinCertificate(pem))
      .to.throw(ConclaveError)
      .with.property('code', 'invalid_request');
  });
});
