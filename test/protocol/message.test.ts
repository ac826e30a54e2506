import { expect } from 'chai';
import { ConclaveError } from '../../lib/errors.ts';
import { parseBatch, parseBatchResults } from '../../lib/protocol/batch.ts';
import {
  batchEntry,
  parseBody,
  parseMessage,
  type WireMessage,
  wireBody,
} from '../../lib/protocol/message.ts';

const MINIMAL = { message_id: 'm', action: 'a', sender_url: 'https://x/api/queues' };

function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (thrown) {
    if (thrown instanceof ConclaveError) return `${thrown.code}: ${thrown.message}`;
    throw thrown;
  }
  return 'no error';
}

describe('RESTQP messages', () => {
  it('given only the required fields, when it is parsed, then the others are null', () => {
    expect(parseMessage(MINIMAL, 'q', 'peer')).to.deep.equal({
      peerId: 'peer',
      messageId: 'm',
      senderUrl: 'https://x/api/queues',
      queue: 'q',
      action: 'a',
      taskId: null,
      data: null,
      infoText: null,
      pingbackDate: null,
      expirationDate: null,
      asyncData: null,
    });
  });

  it('given every field and unknown ones, when it is parsed, then all known ones are read', () => {
    const reference = { url: 'https://x/data', sha256: 'ab'.repeat(32), size: 5 };
    const message = parseMessage(
      {
        ...MINIMAL,
        task_id: 't',
        data: { deep: [1] },
        info: 'one',
        pingback_date: '2020-01-02T03:04:05.678000',
        expiration_date: '2020-01-02T03:04:05Z',
        async_data: { ballots: reference, plain: 'http://x' },
        foo: 1,
      },
      'q',
      'peer',
    );
    expect(message).to.deep.include({ taskId: 't', data: { deep: [1] }, infoText: 'one' });
    expect(message.pingbackDate?.toISOString()).to.equal('2020-01-02T03:04:05.678Z');
    expect(message.expirationDate?.toISOString()).to.equal('2020-01-02T03:04:05.000Z');
    expect(message.asyncData).to.deep.equal({ ballots: reference });
  });

  it('given info and info_text, when it is parsed, then the one that the original reads counts', () => {
    expect(parseMessage({ ...MINIMAL, info: 'i', info_text: 't' }, 'q', 'p').infoText).to.equal('t');
    expect(parseMessage({ ...MINIMAL, info: 'i', info_text: null }, 'q', 'p').infoText).to.equal('i');
  });

  const bad: [string, Record<string, unknown>, string][] = [
    ['an id of 129 characters', { message_id: 'x'.repeat(129) }, 'message_id'],
    ['an id that is a number', { message_id: 5 }, 'message_id'],
    ['an id with U+0000', { message_id: 'a\0b' }, 'message_id'],
    ['an id with half a surrogate pair', { message_id: 'a\ud800' }, 'message_id'],
    ['an id that the original takes for a date', { message_id: '2020-01-02T03:04:05.678901' }, 'message_id'],
    ['no action', { action: undefined }, 'action'],
    ['an action of 1025 characters', { action: 'x'.repeat(1025) }, 'action'],
    ['a sender that is null', { sender_url: null }, 'sender_url'],
    ['a task id that is a list', { task_id: ['t'] }, 'task_id'],
    ['a task id that is too long', { task_id: 'x'.repeat(129) }, 'task_id'],
    ['a date that is none', { pingback_date: 'soon' }, 'pingback_date'],
    ['a date that is a number', { expiration_date: 5 }, 'expiration_date'],
    ['info that is too long', { info: 'x'.repeat(2049) }, 'info'],
    [
      'a reference over http',
      { async_data: { a: { url: 'http://x', sha256: 'ab'.repeat(32), size: 1 } } },
      'async_data',
    ],
    [
      'a reference with a bad hash',
      { async_data: { a: { url: 'https://x', sha256: 'AB', size: 1 } } },
      'async_data',
    ],
    [
      'a reference with a negative size',
      { async_data: { a: { url: 'https://x', sha256: 'ab'.repeat(32), size: -1 } } },
      'async_data',
    ],
    ['two bad fields', { action: 1, sender_url: 2 }, 'action'],
  ];
  for (const [what, change, field] of bad) {
    it(`given ${what}, when it is parsed, then ${field} is named`, () => {
      const body = { ...MINIMAL, ...change } as never;
      expect(codeOf(() => parseMessage(body, 'q', 'p'))).to.equal(
        `invalid_field: invalid/notfound ${field} parameter`,
      );
    });
  }

  it('given lengths at the limit in code points, when it is parsed, then it is accepted', () => {
    const id = '😀'.repeat(128);
    expect(parseMessage({ ...MINIMAL, message_id: id, task_id: '' }, 'q', 'p')).to.include({
      messageId: id,
      taskId: null,
    });
    expect(codeOf(() => parseMessage({ ...MINIMAL, message_id: `${id}x` }, 'q', 'p'))).to.match(/message_id/);
  });

  it('given a queue name that no queue can have, when it is parsed, then there is no such handler', () => {
    for (const queue of ['', 'x'.repeat(1025), 'a\0']) {
      expect(codeOf(() => parseMessage(MINIMAL, queue, 'p'))).to.match(
        /^unknown_queue: Action handler a not found in the queue/,
      );
    }
  });

  it('given bodies that are empty in the original’s eyes, when they are parsed, then they are invalid json', () => {
    for (const text of ['', '{}', '[]', '""', '0', 'false', 'null', 'garbage']) {
      expect(
        codeOf(() => parseBody(Buffer.from(text))),
        text,
      ).to.equal('invalid_json: invalid json');
    }
  });

  it('given a message of ours, when it is written and parsed, then it is the same', () => {
    const message: WireMessage = {
      messageId: 'm',
      senderUrl: 'https://x/api/queues',
      queue: 'q',
      action: 'a',
      taskId: 't',
      data: { a: ['ü', null] },
      infoText: 'info',
      pingbackDate: new Date(Date.UTC(2030, 1, 2, 3, 4, 5, 6)),
      expirationDate: new Date(Date.UTC(2030, 1, 2)),
      asyncData: { d: { url: 'https://x/d', sha256: '00'.repeat(32), size: 0 } },
    };
    const read = parseMessage(parseBody(Buffer.from(JSON.stringify(wireBody(message)))), 'q', 'p');
    expect(read).to.deep.equal({ peerId: 'p', ...message });
    const [entry] = parseBatch(parseBody(Buffer.from(`{"messages":[${batchEntry(message)}]}`)), 'p');
    expect(entry).to.deep.equal({ messageId: 'm', message: read });
  });

  it('given a message with nothing but its task, when it is written, then it has the fields of the original’s own', () => {
    const body = wireBody({ ...emptyMessage(), taskId: 't', data: { username: 'bob' } });
    expect(Object.keys(body)).to.deep.equal(['message_id', 'action', 'sender_url', 'data', 'task_id']);
  });

  it('given a batch with bad entries, when it is parsed, then each is judged alone and in order', () => {
    const entries = parseBatch(
      {
        messages: [
          { queue: 'q', ...MINIMAL },
          { ...MINIMAL, message_id: 'n' },
          { queue: 'q', message_id: 5 },
        ],
      },
      'p',
    );
    expect(
      entries.map((entry) => [entry.messageId, 'refusal' in entry ? entry.refusal.message : null]),
    ).to.deep.equal([
      ['m', null],
      ['n', 'invalid/notfound queue parameter'],
      [null, 'invalid/notfound message_id parameter'],
    ]);
  });

  it('given what is no batch, when it is parsed, then it is refused as a whole', () => {
    const long = { messages: Array.from({ length: 1001 }, () => ({ queue: 'q', ...MINIMAL })) };
    for (const body of [[1], { messages: [] }, { messages: {} }, { messages: [1] }, long]) {
      expect(codeOf(() => parseBatch(body as never, 'p'))).to.match(/^invalid_request/);
    }
  });

  it('given an answer to another batch, when it is read, then it is none', () => {
    const results = [
      { message_id: 'a', status: 200 },
      { message_id: 'b', status: 404, code: 'x', message: 'y' },
    ];
    expect(parseBatchResults({ results }, ['a', 'b'])).to.deep.equal(results);
    expect(parseBatchResults({ results }, ['b', 'a'])).to.equal(null);
    expect(parseBatchResults({ results }, ['a'])).to.equal(null);
    expect(parseBatchResults({ results: [{ message_id: 'a', status: 'ok' }] }, ['a'])).to.equal(null);
  });
});

function emptyMessage(): WireMessage {
  return {
    messageId: 'm',
    senderUrl: 's',
    queue: 'q',
    action: 'a',
    taskId: null,
    data: null,
    infoText: null,
    pingbackDate: null,
    expirationDate: null,
    asyncData: null,
  };
}
