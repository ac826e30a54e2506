/* What peers, their operators and strangers send: messages, dates, certificates, peer files, URLs. */
import fc from 'fast-check';
import { ConclaveError } from '../../lib/errors.ts';
import { JsonRefused, parseJson } from '../../lib/json.ts';
import { acceptableUrl, checkAddresses, kindOfAddress } from '../../lib/node/outgoing-policy.ts';
import { parseBatch, parseBatchResults } from '../../lib/protocol/batch.ts';
import { certificateFromHeader, pinCertificate } from '../../lib/protocol/certificate.ts';
import { parseBody, parseMessage } from '../../lib/protocol/message.ts';
import { readPeerFile, writePeerFile } from '../../lib/protocol/peer-file.ts';
import { normalisePeerUrl } from '../../lib/protocol/peer-url.ts';
import { isOriginalDate, normaliseWireDates, parseWireDate } from '../../lib/protocol/wire-dates.ts';
import { identity } from '../tasks/election/certificates.ts';
import { spoiled, spoiledJson, spoiledJsonText, spoiledText } from './mutations.ts';
import { type AnyTarget, Misbehaviour, target } from './target.ts';

const MESSAGE = {
  message_id: '5a41ab4e-7b8a-4f9c-a8b4-6f9e0d0d6b01',
  action: 'frestq.update_task',
  sender_url: 'https://auth1.example.org:5000/api/queues',
  task_id: '0a0b1d9a-9b0a-4c0d-b7ea-96d7f5d6ce52',
  data: { status: 'finished', output_data: [1, 'x', { deep: [null] }], date: '2030-12-06T18:17:14.457000' },
  pingback_date: '2030-12-06T18:17:14.457000',
  expiration_date: null,
  info_text: 'approve',
  async_data: { 'proofs/x.bt': { url: 'https://a.test/b', sha256: 'ab'.repeat(32), size: 7 } },
};
const BATCH = {
  messages: [
    { queue: 'q', sequence: 1, ...MESSAGE },
    { queue: 'q', ...MESSAGE, task_id: null },
  ],
};
const RESULTS = {
  results: [
    { message_id: 'a', status: 200 },
    { message_id: 'b', status: 400, code: 'invalid_field', message: 'no' },
  ],
};

/** A refusal that its sender is told, never a failure of this node. */
const refused = (thrown: unknown): boolean => thrown instanceof ConclaveError && thrown.status < 500;

const certificate = identity('fuzz').cert;
const peerFile = writePeerFile(
  { name: 'Fuzz', url: 'https://fuzz.example.org:5000/api/queues', roles: ['authority'], certificate },
  identity('fuzz').key,
);

export const protocolTargets: readonly AnyTarget[] = [
  target({
    name: 'strict JSON',
    inputs: spoiledJsonText(MESSAGE, [1e3, -0.5, 'x', { a: { b: [true, null] } }]),
    run(bytes) {
      const value = parseJson(bytes);
      // Whatever is accepted is what every other reader sees.
      const other = JSON.parse(Buffer.from(bytes).toString('utf8'));
      if (JSON.stringify(value) !== JSON.stringify(other)) throw new Misbehaviour('it reads something else');
    },
    refuses: (thrown) => thrown instanceof JsonRefused,
  }),
  target({
    name: 'RESTQP body',
    inputs: fc.tuple(spoiledJsonText(MESSAGE), fc.oneof(fc.constant('q'), fc.string({ unit: 'binary' }))),
    run([bytes, queue]) {
      const message = parseMessage(parseBody(bytes), queue, 'peer');
      if (message.peerId !== 'peer') throw new Misbehaviour('the sender is another');
    },
    refuses: refused,
  }),
  target({
    name: 'RESTQP batch',
    inputs: spoiledJsonText(BATCH),
    run: (bytes) => parseBatch(parseBody(bytes), 'peer'),
    refuses: refused,
  }),
  target({
    name: 'answer to a batch',
    inputs: spoiledJson(RESULTS),
    run: (body) => parseBatchResults(body, ['a', 'b']),
    refuses: () => false,
  }),
  target({
    name: 'dates on the wire',
    inputs: spoiledText('2030-12-06T18:17:14.457000', '2030-12-06T18:17:14Z', '2030-1-6T8:7:4.5'),
    run(text) {
      const date = parseWireDate(text);
      if (date !== null && Number.isNaN(date.getTime())) throw new Misbehaviour('it is no date');
      isOriginalDate(text);
      normaliseWireDates([text, { date: text }]);
    },
    refuses: () => false,
  }),
  target({
    name: 'certificate',
    inputs: spoiledText(certificate, certificate.replaceAll('\n', '\t'), encodeURIComponent(certificate)),
    run(text) {
      certificateFromHeader(text);
      pinCertificate(text);
    },
    refuses: refused,
  }),
  target({
    name: 'peer file',
    inputs: fc.oneof(spoiledJsonText(JSON.parse(peerFile)), spoiled(Buffer.from(peerFile))),
    run: (bytes) => readPeerFile(bytes),
    refuses: refused,
  }),
  target({
    name: 'URL of a peer',
    inputs: spoiledText('https://auth1.example.org:5000/api/queues', 'https://[::1]:5000/a/api/queues/'),
    run(text) {
      const url = normalisePeerUrl(text);
      if (normalisePeerUrl(url) !== url) throw new Misbehaviour('it is not the normal form');
    },
    refuses: refused,
  }),
  target({
    name: 'URL of others',
    inputs: fc.tuple(
      spoiledText(
        'https://votes.example.org/1?x=y',
        'https://127.1/',
        'https://0x7f.1/',
        'https://[::ffff:7f00:1]/',
      ),
      fc.oneof(fc.ipV4(), fc.ipV6(), spoiledText('127.0.0.1', '::ffff:10.0.0.1', 'fe80::1%eth0', '2002::1')),
    ),
    run([text, address]) {
      const kind = kindOfAddress(address);
      const url = acceptableUrl(text);
      const nothing = { allowed: [], allowLoopback: false };
      checkAddresses(url, [{ address, family: address.includes(':') ? 6 : 4 }], nothing);
      throw new Misbehaviour(`nothing is allowed, and ${address} (${kind}) passed`);
    },
    refuses: (thrown) => thrown instanceof ConclaveError && thrown.code === 'outgoing_refused',
  }),
];
