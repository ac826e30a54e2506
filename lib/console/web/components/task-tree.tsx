/*
 * A tree of tasks (role=tree, keyboard as in the ARIA practices). Children are asked for when a task is opened, a page at a
 * time; only the rows in view exist. The focus stays on the tree, which names its active row.
 */
import { useEffect, useMemo, useReducer, useRef, useState } from 'preact/hooks';
import type { TaskSummary } from '../../../operator/views.ts';
import { t } from '../catalogue/messages.ts';
import { onLiveEvent } from '../live/connection.ts';
import { TaskBranches } from '../live/task-branches.ts';
import { Icon } from './icon.tsx';
import { plain } from './remote.tsx';
import { TaskChip, taskName } from './states.tsx';

const ROW = 44;
const INDENT = 18;

interface TreeProps {
  readonly rootId: string;
  readonly selected: string;
  /** From the root to the parent of the selected task; undefined: not known yet. */
  readonly above: readonly string[] | undefined;
  readonly onSelect: (id: string) => void;
}

interface Row {
  readonly task: TaskSummary;
  readonly level: number;
  readonly position: number;
  readonly siblings: number;
}

export function TaskTree({ rootId, selected, above, onSelect }: TreeProps) {
  const box = useRef<HTMLDivElement>(null);
  const [active, setActive] = useState(selected);
  const [top, setTop] = useState(0);
  const [, redraw] = useReducer((count: number) => count + 1, 0);
  const branches = useMemo(() => new TaskBranches(rootId, () => redraw(0)), [rootId]);
  /** The task that is to be brought into view as soon as it is there. */
  const sought = useRef<string>(undefined);

  useEffect(() => {
    branches.open(rootId);
    return onLiveEvent((event) => branches.hear(event));
  }, [branches]);

  useEffect(() => {
    if (above === undefined) return;
    for (const id of above) branches.open(id);
    sought.current = selected;
    setActive(selected);
  }, [branches, selected, above?.join()]);

  const rows: Row[] = [];
  const add = (task: TaskSummary, level: number, position: number, siblings: number): void => {
    rows.push({ task, level, position, siblings });
    const children = branches.childrenOf(task.id);
    const count = Math.max(task.children, children.length);
    for (const [index, child] of children.entries()) add(child, level + 1, index + 1, count);
  };
  if (branches.root !== undefined) add(branches.root, 1, 1, 1);

  const toggle = (id: string, to: boolean): void => {
    if (to) branches.open(id);
    else branches.close(id);
    redraw(0);
  };
  const show = (index: number): void => {
    if (box.current === null) return;
    const { scrollTop, clientHeight } = box.current;
    const at = index * ROW;
    if (at < scrollTop) box.current.scrollTop = at;
    else if (at + ROW > scrollTop + clientHeight) box.current.scrollTop = at + ROW - clientHeight;
  };
  useEffect(() => {
    const index = rows.findIndex(({ task }) => task.id === sought.current);
    if (index === -1) return;
    sought.current = undefined;
    show(index);
  });
  const move = (index: number): void => {
    const row = rows[Math.max(0, Math.min(rows.length - 1, index))];
    if (row === undefined) return;
    setActive(row.task.id);
    show(rows.indexOf(row));
  };
  const press = (event: KeyboardEvent): void => {
    const index = Math.max(
      0,
      rows.findIndex(({ task }) => task.id === active),
    );
    const row = rows[index];
    if (row === undefined) return;
    const isOpen = row.task.children > 0 && branches.isOpen(row.task.id);
    const keys: Record<string, () => void> = {
      ArrowDown: () => move(index + 1),
      ArrowUp: () => move(index - 1),
      Home: () => move(0),
      End: () => move(rows.length - 1),
      PageDown: () => move(index + 10),
      PageUp: () => move(index - 10),
      ArrowRight: () =>
        row.task.children > 0 && !isOpen ? toggle(row.task.id, true) : isOpen && move(index + 1),
      ArrowLeft: () =>
        isOpen
          ? toggle(row.task.id, false)
          : move(rows.findIndex(({ task }) => task.id === row.task.parent_id)),
      Enter: () => onSelect(row.task.id),
      ' ': () => onSelect(row.task.id),
    };
    const act = keys[event.key];
    if (act === undefined) return;
    event.preventDefault();
    act();
  };

  const first = Math.max(0, Math.floor(top / ROW) - 8);
  const last = Math.ceil((top + (box.current?.clientHeight ?? 600)) / ROW) + 8;
  const activeIndex = rows.findIndex(({ task }) => task.id === active);
  const visible = rows
    .map((row, index) => ({ row, index }))
    .filter(({ index }) => (index >= first && index < last) || index === activeIndex);
  return (
    <div
      ref={box}
      class="tree"
      role="tree"
      tabIndex={0}
      aria-label={t('tree.title')}
      aria-activedescendant={activeIndex === -1 ? undefined : `task-${active}`}
      onKeyDown={press}
      onScroll={(event) => setTop(event.currentTarget.scrollTop)}
    >
      <div class="tree-space" role="presentation" style={{ height: `${rows.length * ROW}px` }}>
        {visible.map(({ row: { task, level, position, siblings }, index }) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the tree has the keyboard, rows the pointer
          // biome-ignore lint/a11y/useFocusableInteractive: the tree has the focus and names its active row
          <div
            key={task.id}
            id={`task-${task.id}`}
            class="tree-row"
            role="treeitem"
            aria-level={level}
            aria-posinset={position}
            aria-setsize={siblings}
            aria-expanded={task.children > 0 ? branches.isOpen(task.id) : undefined}
            aria-selected={task.id === selected}
            data-active={task.id === active}
            style={{ top: `${index * ROW}px` }}
            onClick={() => {
              setActive(task.id);
              onSelect(task.id);
            }}
          >
            <span class="tree-indent" style={{ width: `${(level - 1) * INDENT}px` }} />
            <span
              class="tree-twisty"
              aria-hidden="true"
              onClick={(event) => {
                event.stopPropagation();
                if (task.children > 0) toggle(task.id, !branches.isOpen(task.id));
              }}
            >
              {task.children > 0 && <Icon name="right" />}
            </span>
            <span class="tree-name">{plain(taskName(task))}</span>
            <span class="tree-where">{plain(task.peer?.name ?? '')}</span>
            <TaskChip task={task} />
          </div>
        ))}
      </div>
    </div>
  );
}
