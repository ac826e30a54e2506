/* A moment: how long ago or until then, by the node's clock, with the exact date beside it or on demand. */
import { formatDate, formatDatePrecisely, formatRelative } from '../catalogue/formats.ts';
import { now } from '../live/clock.ts';

interface MomentProps {
  readonly date: string;
  /** `relative`: "2 minutes ago"; `date`: the date alone; `both`. */
  readonly show?: 'relative' | 'date' | 'both';
}

export function Moment({ date, show = 'relative' }: MomentProps) {
  const parsed = new Date(date);
  const exact = formatDatePrecisely(parsed);
  if (show === 'date')
    return (
      <time dateTime={date} title={exact}>
        {formatDate(parsed)}
      </time>
    );
  const relative = formatRelative(parsed, now.value);
  return (
    <time dateTime={date} title={exact}>
      {show === 'both' ? `${formatDate(parsed)} (${relative})` : relative}
    </time>
  );
}
