import { expect } from 'chai';
import { PeerDirectory } from '../../lib/protocol/peers.ts';
import {
  eventually,
  makeIdentity,
  openTestStore,
  recordingLog,
  TestClock,
  type TestStore,
} from './support.ts';

describe('the peer directory', () => {
  let store: TestStore;
  const [first, second, third] = [makeIdentity('1'), makeIdentity('2'), makeIdentity('3')] as const;
  const authority = { roles: ['authority' as const] };

  before(async () => {
    store = await openTestStore();
  });
  after(() => store.close());
  beforeEach(() => store.db.raw('delete from peers'));

  async function openDirectory(clock = new TestClock()): Promise<PeerDirectory> {
    const directory = new PeerDirectory({ db: store.db, log: recordingLog().log, clock });
    await directory.start();
    return directory;
  }

  it('given a peer, when it is added, then it is found by everything that names it', async () => {
    const directory = await openDirectory();
    const peer = await directory.add({
      name: 'b',
      url: 'https://B.org/api/queues/',
      certificates: [first.certificate],
      ...authority,
    });
    expect(directory.byFingerprint(first.fingerprint)?.id).to.equal(peer.id);
    expect(directory.byUrl('https://b.org:443/api/queues')?.id).to.equal(peer.id);
    expect(directory.byOrigin('https://b.org/elsewhere')?.id).to.equal(peer.id);
    for (const text of ['b', peer.id, 'https://b.org/api/queues', first.fingerprint.toUpperCase()]) {
      expect(directory.find(text).id).to.equal(peer.id);
    }
    expect(() => directory.find('c')).to.throw(/there is no peer c; there are: b/);
    await directory.stop();
  });

  it('given a peer, when another would share its name, URL or certificate, then it is refused', async () => {
    const directory = await openDirectory();
    const peer = { name: 'b', url: 'https://b.org', certificates: [first.certificate], ...authority };
    await directory.add(peer);
    const clashes: [object, RegExp][] = [
      [{ url: 'https://c.org', certificates: [second.certificate] }, /a peer b already/],
      [{ name: 'c', certificates: [second.certificate] }, /URL https:\/\/b.org\/? is that of/],
      [{ name: 'c', url: 'https://c.org' }, /is one of the peer b/],
      [{ name: 'c', url: null, certificates: [], roles: ['king'] }, /roles: .*; certificates: /],
    ];
    for (const [change, reason] of clashes) {
      expect(await rejection(directory.add({ ...peer, ...change }))).to.match(reason);
    }
    expect(directory.list()).to.have.length(1);
    await directory.stop();
  });

  it('given two processes that add one certificate at once, when both commit, then one is refused', async () => {
    const [one, other] = [await openDirectory(), await openDirectory()];
    const add = (directory: PeerDirectory, name: string) =>
      directory.add({ name, url: null, certificates: [first.certificate], ...authority });
    const settled = await Promise.allSettled([add(one, 'x'), add(other, 'y')]);
    expect(settled.map(({ status }) => status).sort()).to.deep.equal(['fulfilled', 'rejected']);
    await Promise.all([one.stop(), other.stop()]);
  });

  it('given a rotation, when certificates are added and removed, then both count in between', async () => {
    const directory = await openDirectory();
    const { id } = await directory.add({
      name: 'b',
      url: null,
      certificates: [first.certificate],
      ...authority,
    });
    await directory.addCertificate(id, second.certificate);
    await directory.addCertificate(id, second.certificate);
    expect(directory.byFingerprint(first.fingerprint)?.id).to.equal(id);
    expect(directory.byFingerprint(second.fingerprint)?.id).to.equal(id);
    expect(await rejection(directory.addCertificate(id, third.certificate))).to.match(
      /has 2 certificates already/,
    );
    await directory.removeCertificate(id, first.fingerprint);
    expect(directory.byFingerprint(first.fingerprint)).to.equal(undefined);
    expect(directory.byFingerprint(second.fingerprint)?.id).to.equal(id);
    expect(await rejection(directory.removeCertificate(id, second.fingerprint))).to.match(/only certificate/);
    expect(await rejection(directory.removeCertificate(id, first.fingerprint))).to.match(
      /no certificate with/,
    );
    await directory.stop();
  });

  it('given a peer of known dialect, when its URL changes, then the dialect is asked for again; its roles do not matter', async () => {
    const directory = await openDirectory();
    const { id } = await directory.add({
      name: 'b',
      url: 'https://b.org',
      certificates: [first.certificate],
      ...authority,
    });
    await directory.setDialect(id, 'conclave');
    expect((await directory.change(id, { roles: ['client'] })).dialect).to.equal('conclave');
    expect((await directory.change(id, { url: 'https://new.org' })).dialect).to.equal('unknown');
    expect(directory.byId(id)).to.deep.include({ roles: ['client'], url: 'https://new.org' });
    await directory.stop();
  });

  it('given a change by another process, when a second has passed, then it counts here without a notification', async () => {
    const clock = new TestClock();
    const here = await openDirectory(clock);
    const elsewhere = await openDirectory();
    let changes = 0;
    here.onChange(() => {
      changes += 1;
    });
    const { id } = await elsewhere.add({
      name: 'b',
      url: null,
      certificates: [first.certificate],
      ...authority,
    });
    expect(here.byFingerprint(first.fingerprint)).to.equal(undefined);
    clock.advance(1000);
    await eventually('the poll sees the peer', () => here.byFingerprint(first.fingerprint)?.id === id);
    expect(await elsewhere.remove(id)).to.equal(true);
    expect(await elsewhere.remove(id)).to.equal(false);
    await here.refresh();
    expect(here.byFingerprint(first.fingerprint)).to.equal(undefined);
    expect(here.list()).to.deep.equal([]);
    expect(changes).to.equal(2);
    await Promise.all([here.stop(), elsewhere.stop()]);
  });

  it('given a database that cannot be reached, when it is polled, then the last known peers stay and one line is logged', async () => {
    const clock = new TestClock();
    const { log, lines } = recordingLog();
    let broken = false;
    const db = new Proxy(store.db, {
      get: (target, key) =>
        key === 'raw' && broken
          ? () => Promise.reject(new Error('connection refused'))
          : Reflect.get(target, key),
    });
    const directory = new PeerDirectory({ db, log, clock });
    await directory.start();
    await directory.add({ name: 'b', url: null, certificates: [first.certificate], ...authority });
    broken = true;
    for (let poll = 0; poll < 3; poll += 1) {
      clock.advance(1000);
      await directory.refresh().catch(() => {});
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(directory.byFingerprint(first.fingerprint)?.name).to.equal('b');
    expect(lines.map(({ level }) => level)).to.deep.equal(['warn']);
    await directory.stop();
  });
});

async function rejection(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'no error',
    (reason: Error) => reason.message,
  );
}
