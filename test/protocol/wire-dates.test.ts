import { expect } from 'chai';
import type { Json } from '../../lib/json.ts';
import {
  formatWireDate,
  isOriginalDate,
  normaliseWireDates,
  parseWireDate,
} from '../../lib/protocol/wire-dates.ts';
import { capturedExchanges } from './captures.ts';

describe('dates on the wire', () => {
  it('given a date, when it is written and read, then it is the same, in the form that the original takes for a date', () => {
    for (const milliseconds of [Date.UTC(2020, 0, 2, 3, 4, 5, 678), Date.UTC(2031, 11, 31, 23, 59, 59, 0)]) {
      const text = formatWireDate(new Date(milliseconds));
      expect(isOriginalDate(text)).to.equal(true);
      expect(parseWireDate(text)?.getTime()).to.equal(milliseconds);
    }
    expect(formatWireDate(new Date(Date.UTC(2020, 0, 2, 3, 4, 5, 678)))).to.equal(
      '2020-01-02T03:04:05.678000',
    );
  });

  const forms: [string, string][] = [
    ['2020-01-02T03:04:05.678901', '2020-01-02T03:04:05.678Z'],
    ['2020-01-02T03:04:05', '2020-01-02T03:04:05.000Z'],
    ['2020-01-02T03:04:05.5', '2020-01-02T03:04:05.500Z'],
    ['2020-01-02T03:04:05.678Z', '2020-01-02T03:04:05.678Z'],
    ['2020-01-02T03:04:05+02:00', '2020-01-02T01:04:05.000Z'],
    ['2020-01-02T03:04:05-0130', '2020-01-02T04:34:05.000Z'],
    ['1999-01-02 03:04', '1999-01-02T03:04:00.000Z'],
    ['2020-02-29', '2020-02-29T00:00:00.000Z'],
  ];
  for (const [text, expected] of forms) {
    it(`given ${text}, when it is read, then it is ${expected}`, () => {
      expect(parseWireDate(text)?.toISOString()).to.equal(expected);
    });
  }

  it('given what is no date, when it is read, then it is refused', () => {
    for (const text of [
      '',
      'tomorrow',
      '2021-02-29',
      '2020-13-01',
      '2020-01-01T24:00:00',
      '2020-01-01T00:60:00',
      '20',
    ]) {
      expect(parseWireDate(text), text).to.equal(null);
    }
  });

  it('given data that an original echoed, when both are normalised, then they are equal', () => {
    const sent = new Map<string, Json>();
    let compared = 0;
    for (const { body } of capturedExchanges('probe.pg.jsonl')) {
      if (typeof body !== 'object' || body === null) continue;
      const message = body as { action?: string; task_id?: string; data?: Json };
      const taskId = message.task_id ?? '';
      if (message.action === 'echo') sent.set(taskId, message.data ?? null);
      const before = sent.get(taskId);
      // The task t1 was given two data.
      if (message.action !== 'frestq.update_task' || before === undefined || taskId === 't1') continue;
      const { output_data: output } = message.data as { output_data: { got: Json } };
      expect(normaliseWireDates(output.got)).to.deep.equal(normaliseWireDates(before));
      compared += 1;
    }
    expect(compared).to.be.greaterThan(10);
  });

  it('given strings that the original leaves alone, when they are normalised, then they stay', () => {
    const value = {
      z: '2020-01-02T03:04:05.678Z',
      none: '2020-01-02T03:04:05',
      old: '1999-01-02T03:04:05.5',
      bad: '2020-02-30T00:00:00.5',
    };
    expect(normaliseWireDates(value)).to.deep.equal(value);
  });

  it('given a date, when it is normalised, then it has the form in which the original writes it', () => {
    expect(
      normaliseWireDates(['2020-1-2T3:4:5.1', { a: '2020-01-02T03:04:05.000000' }, 7, null]),
    ).to.deep.equal(['2020-01-02T03:04:05.100000', { a: '2020-01-02T03:04:05' }, 7, null]);
  });
});
