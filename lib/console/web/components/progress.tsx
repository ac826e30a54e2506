/* A bar that moves, with its numbers in words. */
import { formatNumber, formatPercent } from '../catalogue/formats.ts';

interface ProgressProps {
  readonly label: string;
  readonly done: number;
  readonly total: number;
  readonly state?: 'running' | 'done' | 'failed';
}

export function Progress({ label, done, total, state = 'running' }: ProgressProps) {
  const fraction = total > 0 ? Math.min(1, Math.max(0, done / total)) : 0;
  // Parts of one whole are shown as a share, countable things as they are.
  const text = total === 1 ? formatPercent(fraction) : `${formatNumber(done)} / ${formatNumber(total)}`;
  return (
    <div class={`progress progress-${state}`}>
      <div class="progress-text">
        <span>{label}</span>
        <span class="numeric">{text}</span>
      </div>
      <div
        class="progress-track"
        role="progressbar"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(fraction * 100)}
        aria-valuetext={text}
      >
        <div class="progress-bar" style={{ width: `${fraction * 100}%` }} />
      </div>
    </div>
  );
}
