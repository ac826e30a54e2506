/**
 * Tables in the original's form (FQ-C2, FQ-C3): ASCII borders, one line under the headings, every cell centred. Cells are
 * of one line; what is long is cut by whoever fills them.
 */
import Table from 'cli-table3';
import { harmless } from './terminal.ts';

const ASCII = {
  top: '-',
  'top-mid': '+',
  'top-left': '+',
  'top-right': '+',
  bottom: '-',
  'bottom-mid': '+',
  'bottom-left': '+',
  'bottom-right': '+',
  left: '|',
  'left-mid': '+',
  mid: '-',
  'mid-mid': '+',
  right: '|',
  'right-mid': '+',
  middle: '|',
} as const;

export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [headings, ...rows].map((row) => row.map((cell) => harmless(cell).replace(/\s+/g, ' ')));
  const widths = headings.map((_, column) => Math.max(...cells.map((row) => length(row[column] ?? ''))));
  const centred = cells.map((row) => row.map((cell, column) => centre(cell, widths[column]!)));
  const made = new Table({ head: centred[0]!, chars: ASCII, style: { head: [], border: [] } });
  made.push(...centred.slice(1));
  // A line under every row: only the first of them, and the last, are the original's.
  const lines = made.toString().split('\n');
  return lines.filter((line, at) => at <= 2 || at === lines.length - 1 || !line.startsWith('+')).join('\n');
}

/** The same within so many columns: the widest cells are cut. */
export function fittedTable(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  columns = DEFAULT_COLUMNS,
): string {
  const widths = headings.map((_, column) =>
    Math.max(...[headings, ...rows].map((row) => length((row[column] ?? '').replace(/\s+/g, ' ')))),
  );
  const available = Math.max(columns, MIN_COLUMNS) - 3 * widths.length - 1;
  while (widths.reduce((sum, width) => sum + width, 0) > available && Math.max(...widths) > MIN_WIDTH)
    widths[widths.indexOf(Math.max(...widths))]! -= 1;
  const cut = (row: readonly string[]): string[] =>
    row.map((cell, column) => shortened(cell.replace(/\s+/g, ' '), widths[column]!));
  return table(cut(headings), rows.map(cut));
}

/** Where nobody knows: a pipe, a file. */
const DEFAULT_COLUMNS = 160;
const MIN_COLUMNS = 60;
const MIN_WIDTH = 6;

/** An odd space goes to the right of a cell of odd length, and to the left of others, as in the original's tables. */
function centre(cell: string, width: number): string {
  const spaces = width - length(cell);
  const left = length(cell) % 2 === 0 ? Math.ceil(spaces / 2) : Math.floor(spaces / 2);
  return `${' '.repeat(left)}${cell}${' '.repeat(spaces - left)}`;
}

function length(text: string): number {
  return [...text].length;
}

/** `2013-09-29 11:55:09.424713`: UTC. */
export function tableDate(date: Date): string {
  return date.toISOString().replace('T', ' ').replace('Z', '000');
}

export function shortened(text: string, most: number): string {
  const characters = [...text];
  return characters.length <= most ? text : `${characters.slice(0, most - 1).join('')}…`;
}
