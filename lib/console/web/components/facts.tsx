/* Facts: a name and a value each. */
import type { ComponentChildren } from 'preact';

interface FactsProps {
  readonly columns?: 1 | 2 | 3;
  /** Facts that are undefined are left out. */
  readonly facts: readonly (readonly [label: string, value: ComponentChildren] | undefined)[];
}

export function Facts({ facts, columns = 2 }: FactsProps) {
  const style = columns === 1 ? '' : columns === 2 ? ' facts-two' : ' facts-three';
  return (
    <dl class={`facts${style}`}>
      {facts.map(
        (fact) =>
          fact !== undefined && (
            <div key={fact[0]}>
              <dt>{fact[0]}</dt>
              <dd>{fact[1]}</dd>
            </div>
          ),
      )}
    </dl>
  );
}
