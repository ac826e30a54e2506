import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { createSecrets } from '../../lib/node/secrets.ts';

describe('secrets at rest (D36)', () => {
  const key = randomBytes(32);
  const secret = Buffer.from('a key share');
  const secrets = createSecrets(key);

  it('given a sealed secret, when it is opened for its context, then it is there again', () => {
    const sealed = secrets.seal(secret, 'share 1');
    expect(secrets.open(sealed, 'share 1').equals(secret)).to.equal(true);
    expect(sealed.includes(secret)).to.equal(false);
  });

  it('given the same secret twice, when it is sealed, then nobody sees that it is the same', () => {
    expect(secrets.seal(secret, 'share 1').equals(secrets.seal(secret, 'share 1'))).to.equal(false);
  });

  it('given a sealed secret, when the context or the key is another, then it does not open', () => {
    const sealed = secrets.seal(secret, 'share 1');
    expect(() => secrets.open(sealed, 'share 2')).to.throw(/share 2: it was sealed under another key/);
    expect(() => createSecrets(randomBytes(32)).open(sealed, 'share 1')).to.throw(/another key/);
  });

  it('given any octet of it changed, or its end cut off, when it is opened, then it does not open', () => {
    const sealed = secrets.seal(secret, 'share 1');
    for (let at = 0; at < sealed.length; at += 1) {
      const damaged = Buffer.from(sealed);
      damaged[at]! ^= 1;
      expect(() => secrets.open(damaged, 'share 1'), `octet ${at}`).to.throw(/damaged/);
      expect(() => secrets.open(sealed.subarray(0, at), 'share 1'), `length ${at}`).to.throw(/damaged/);
    }
  });

  it('given a key of another length, when secrets are made, then it is refused', () => {
    expect(() => createSecrets(randomBytes(31))).to.throw(RangeError);
  });
});
