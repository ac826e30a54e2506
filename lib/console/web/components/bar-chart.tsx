/* Horizontal bars in SVG. Says nothing that the table beside it does not say: hidden from screen readers but for its title. */

interface Bar {
  readonly label: string;
  readonly value: number;
  readonly note: string;
  readonly strong: boolean;
}

const WIDTH = 640;
const ROW = 46;
const BAR = 14;
const SHOWN = 40;
const LABEL_CHARACTERS = 60;

export function BarChart({ title, bars }: { readonly title: string; readonly bars: readonly Bar[] }) {
  const shown = bars.slice(0, SHOWN);
  const largest = Math.max(1, ...shown.map(({ value }) => value));
  return (
    <svg class="chart" viewBox={`0 0 ${WIDTH} ${shown.length * ROW}`} role="img" aria-label={title}>
      {shown.map((bar, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a bar is its place
        <g key={index} transform={`translate(0 ${index * ROW})`}>
          <text class="chart-label" x="0" y="17">
            {bar.label.length > LABEL_CHARACTERS ? `${bar.label.slice(0, LABEL_CHARACTERS)}…` : bar.label}
          </text>
          <text class="chart-value" x={WIDTH} y="17" text-anchor="end">
            {`${bar.value} · ${bar.note}`}
          </text>
          <rect class="chart-track" x="0" y="24" width={WIDTH} height={BAR} rx="4" />
          <rect
            class={`chart-bar${bar.strong ? ' chart-bar-winner' : ''}`}
            x="0"
            y="24"
            width={(bar.value / largest) * WIDTH}
            height={BAR}
            rx="4"
          />
        </g>
      ))}
    </svg>
  );
}
