/* Horizontal bars. Says nothing that the table beside it does not say: hidden from screen readers but for its title. */

interface Bar {
  readonly label: string;
  readonly value: number;
  readonly note: string;
  readonly strong: boolean;
}

const SHOWN = 40;
const LABEL_CHARACTERS = 120;

export function BarChart({ title, bars }: { readonly title: string; readonly bars: readonly Bar[] }) {
  const shown = bars.slice(0, SHOWN);
  const largest = Math.max(1, ...shown.map(({ value }) => value));
  return (
    <div class="chart" role="img" aria-label={title}>
      {shown.map((bar, index) => (
        <div key={index} class={`progress${bar.strong ? ' progress-done' : ''}`}>
          <div class="progress-text">
            <bdi>
              {bar.label.length > LABEL_CHARACTERS ? `${bar.label.slice(0, LABEL_CHARACTERS)}…` : bar.label}
            </bdi>
            <strong class="numeric">{`${bar.value} · ${bar.note}`}</strong>
          </div>
          <div class="progress-track chart-track">
            <div class="progress-bar" style={{ width: `${(bar.value / largest) * 100}%` }} />
          </div>
        </div>
      ))}
    </div>
  );
}
