import { readdirSync, readFileSync } from 'node:fs';
import { expect } from 'chai';
import { ERROR_CODES } from '../../lib/errors.ts';
import { MAX_JSON_DEPTH } from '../../lib/json.ts';
import { MAX_BATCH_MESSAGES } from '../../lib/protocol/batch.ts';
import { IN_DOUBT_LIMIT } from '../../lib/protocol/delivery.ts';
import { DEFAULT_LANE_LIMITS } from '../../lib/protocol/lane.ts';
import {
  MAX_ASYNC_DATA,
  MAX_ID_LENGTH,
  MAX_INFO_LENGTH,
  MAX_TEXT_LENGTH,
} from '../../lib/protocol/message.ts';
import { DEFAULT_LIMITS } from '../../lib/protocol/server.ts';

const LIBRARY = new URL('../../lib/protocol/', import.meta.url);
const page = readFileSync(new URL('../../docs/protocol.md', import.meta.url), 'utf8').replaceAll(/\s+/g, ' ');
const rows = [...page.matchAll(/\| `(\w+)` \| (\d{3}) \| (.*?) \|/g)].map(([, code, status, text]) => ({
  code: code as keyof typeof ERROR_CODES,
  status: Number(status),
  text,
}));

/** Errors of this side of the protocol that never become an answer. */
const NOT_ANSWERS = [
  'async_data_failed',
  'invalid_settings',
  'peer_certificate_mismatch',
  'peer_error',
  'undeliverable',
  'unknown_peer',
];

describe('the page on the protocol', () => {
  it('given the table of answers, when it is compared with the list of errors, then statuses and texts are the same', () => {
    expect(rows.length).to.be.greaterThan(15);
    for (const { code, status, text } of rows) {
      expect(ERROR_CODES, code).to.have.property(code);
      expect({ status, text }, code).to.deep.equal(ERROR_CODES[code]);
    }
  });

  it('given the errors that the protocol’s code makes, when they are looked up, then every answer is in the table', () => {
    const made = new Set<string>();
    for (const file of readdirSync(LIBRARY)) {
      const source = readFileSync(new URL(file, LIBRARY), 'utf8');
      for (const [, code] of source.matchAll(/new ConclaveError\(\s*'(\w+)'/g)) made.add(code as string);
    }
    expect(made.size).to.be.greaterThan(15);
    const documented = new Set<string>(rows.map(({ code }) => code));
    expect([...made].filter((code) => !documented.has(code)).sort()).to.deep.equal(NOT_ANSWERS);
  });

  it('given the limits, when they are looked up, then the page names them as they are', () => {
    const { maxBodyBytes, maxBytesPerPeer, bodyMilliseconds, headersMilliseconds } = DEFAULT_LIMITS;
    const { batchMessages, batchBytes, singlesInFlight, mostSinglesInFlight } = DEFAULT_LANE_LIMITS;
    const mebibytes = (bytes: number) => bytes / 1024 / 1024;
    for (const sentence of [
      `at most ${mebibytes(maxBodyBytes)} MiB, and arrives within ${bodyMilliseconds / 1000} seconds`,
      `${headersMilliseconds / 1000} seconds. Bodies that one peer has`,
      `at a time: ${mebibytes(maxBytesPerPeer)} MiB`,
      `batches of up to ${batchMessages} messages or ${mebibytes(batchBytes)} MiB`,
      `${singlesInFlight} in flight, up to ${mostSinglesInFlight} while`,
      `A batch has 1 to ${MAX_BATCH_MESSAGES} messages`,
      `more than ${MAX_JSON_DEPTH} levels`,
      `text, at most ${MAX_ID_LENGTH}`,
      `text, at most ${MAX_TEXT_LENGTH}`,
      `text, at most ${MAX_INFO_LENGTH}`,
      `at most ${MAX_ASYNC_DATA}: bulk data`,
    ]) {
      expect(page).to.include(sentence);
    }
    expect(IN_DOUBT_LIMIT).to.equal(5);
    expect(page).to.include('after five of them it counts as delivered');
  });
});
