/** A process that does nothing but send, to be killed by a test. Its only argument is JSON; it says `ready`. */
import { FederationClient } from '../../lib/protocol/client.ts';
import { PeerDirectory } from '../../lib/protocol/peers.ts';
import { OutboxSender } from '../../lib/protocol/sender.ts';
import { openDatabase } from '../../lib/store/database.ts';
import { createOutboxStore } from '../../lib/store/outbox.ts';
import { recordingLog } from './support.ts';

const { address, identity, leaseMilliseconds } = JSON.parse(process.argv[2] ?? '');
const { log } = recordingLog();
const db = openDatabase({ address }).knex;
const peers = new PeerDirectory({ db, log });
await peers.start();
const client = new FederationClient({ identity });
const sender = new OutboxSender({
  store: createOutboxStore(db),
  peers,
  client,
  log,
  limits: { leaseMilliseconds },
  undeliverable: async () => {},
});
await sender.start();
process.stdout.write('ready\n');
