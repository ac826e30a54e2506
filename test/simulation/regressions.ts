/** Schedules that have found a defect, each with a line on what it was. `reversion`: the defect, to be put back. */
export interface Regression {
  scenario: string;
  seed: number;
  found: string;
  reversion: string;
}

export const REGRESSIONS: readonly Regression[] = [
  {
    scenario: 'directors',
    seed: 768,
    found:
      'the start of a synchronized task gave its slot away when its worker died, and was claimed again beside the one that had got it',
    reversion: 'slots',
  },
  {
    scenario: 'takeover',
    seed: 13541,
    found:
      'a connection that broke while what a handler had asked for was checked counted as the handler’s failure',
    reversion: 'reads',
  },
];
