/* The console's pictograms: always beside words, never instead of them, and therefore hidden from screen readers. */

const PATHS = {
  approvals: 'M9 12l2 2 4-5M5 4h14a1 1 0 0 1 1 1v14a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1z',
  elections: 'M4 13h16v7H4zM8 13V5l8-1v9M10.5 8.5l1.5 1.5 2.5-3',
  tasks: 'M5 5h5v4H5zM14 15h5v4h-5zM14 9h5v3h-5zM7.5 9v8H14M7.5 10.5H14',
  peers:
    'M12 4a2 2 0 1 1 0 4 2 2 0 0 1 0-4zM5 16a2 2 0 1 1 0 4 2 2 0 0 1 0-4zM19 16a2 2 0 1 1 0 4 2 2 0 0 1 0-4zM11 8l-5 8M13 8l5 8M7 18h10',
  messages: 'M4 6h16v12H4zM4 7l8 6 8-6',
  good: 'M5 12.5l4.5 4.5L19 7.5',
  bad: 'M6.5 6.5l11 11M17.5 6.5l-11 11',
  attention: 'M12 4l9 16H3zM12 10v4.5M12 17v.5',
  waiting: 'M12 4a8 8 0 1 1 0 16 8 8 0 0 1 0-16zM12 8v4.5l3 2',
  busy: 'M12 4a8 8 0 1 0 8 8',
  idle: 'M6 12h12',
  information: 'M12 4a8 8 0 1 1 0 16 8 8 0 0 1 0-16zM12 11v5M12 8v.5',
  right: 'M9 5l7 7-7 7',
  back: 'M15 5l-7 7 7 7',
  download: 'M12 4v11M7 11l5 5 5-5M5 20h14',
  copy: 'M9 9h10v11H9zM5 15V4h10',
  add: 'M12 5v14M5 12h14',
  out: 'M10 5H5v14h5M14 8l4 4-4 4M18 12H9',
  more: 'M6 9l6 6 6-6',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { readonly name: IconName }) {
  return (
    <svg
      viewBox="0 0 24 24"
      width="20"
      height="20"
      fill="none"
      stroke="currentColor"
      stroke-width="2"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
