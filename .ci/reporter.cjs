/*
 * Mocha's readable report, and beside it the counts as JSON in the file that TEST_COUNTS names. They are written after
 * every test, so that a run that is cut short has true counts too; `ended` tells a whole run from such a one.
 */
const { writeFileSync } = require('node:fs');
const Mocha = require('mocha');

const { EVENT_RUN_BEGIN, EVENT_TEST_PASS, EVENT_TEST_FAIL, EVENT_RUN_END } = Mocha.Runner.constants;

module.exports = class CountingReporter extends Mocha.reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    const counts = { passed: 0, failed: 0, ended: false };
    const write = (changes = {}) => {
      Object.assign(counts, changes);
      if (process.env.TEST_COUNTS) writeFileSync(process.env.TEST_COUNTS, JSON.stringify(counts));
    };
    runner.on(EVENT_RUN_BEGIN, () => write());
    runner.on(EVENT_TEST_PASS, () => write({ passed: counts.passed + 1 }));
    // A hook that fails counts as well: the tests behind it never ran.
    runner.on(EVENT_TEST_FAIL, () => write({ failed: counts.failed + 1 }));
    runner.on(EVENT_RUN_END, () => write({ ended: true }));
  }
};
