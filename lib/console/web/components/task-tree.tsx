/*
 * A tree of tasks (role=tree, keyboard as in the ARIA practices). Children are asked for when a task is opened, a page at a
 * time; only the rows in view exist. The focus stays on the tree, which names its active row.
 */
import { useEffect, useReducer, useRef, useState } from 'preact/hooks';
import type { TaskSummary } from '../../../operator/views.ts';
import { t } from '../catalogue/messages.ts';
import { request } from '../live/api.ts';
import { onLiveEvent } from '../live/connection.ts';
import { isFreshStart, repeatable } from '../live/query.ts';
import { Icon } from './icon.tsx';
import { plain } from './remote.tsx';
import { TaskChip, taskName } from './states.tsx';

const ROW = 44;
const PAGE = 500;
const INDENT = 18;

interface TreeProps {
  readonly rootId: string;
  readonly selected: string;
  readonly onSelect: (id: string) => void;
}

interface Row {
  readonly task: TaskSummary;
  readonly level: number;
  readonly position: number;
}

export function TaskTree({ rootId, selected, onSelect }: TreeProps) {
  const box = useRef<HTMLDivElement>(null);
  const known = useRef({
    root: undefined as TaskSummary | undefined,
    children: new Map<string, readonly TaskSummary[]>(),
  });
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set([rootId]));
  const [active, setActive] = useState(selected);
  const [top, setTop] = useState(0);
  const [, redraw] = useReducer((count: number) => count + 1, 0);

  useEffect(() => {
    const refresh = repeatable(async () => {
      try {
        known.current.root = await request('GET /api/tasks/:id', { path: { id: rootId } });
        for (const id of open) known.current.children.set(id, await childrenOf(id));
      } catch {
        // What was there stays in view; the next event asks again.
      }
      redraw(0);
    });
    refresh();
    return onLiveEvent((event) => {
      if (
        isFreshStart(event) ||
        (event.type === 'tasks' && (!event.data.complete || event.data.roots.includes(rootId)))
      )
        refresh();
    });
  }, [rootId, open]);

  const rows: Row[] = [];
  const add = (task: TaskSummary, level: number, position: number): void => {
    rows.push({ task, level, position });
    if (open.has(task.id))
      for (const [index, child] of (known.current.children.get(task.id) ?? []).entries())
        add(child, level + 1, index + 1);
  };
  if (known.current.root !== undefined) add(known.current.root, 1, 1);

  const toggle = (id: string, to: boolean): void => {
    const next = new Set(open);
    if (to) next.add(id);
    else next.delete(id);
    setOpen(next);
  };
  const move = (index: number): void => {
    const row = rows[Math.max(0, Math.min(rows.length - 1, index))];
    if (row === undefined || box.current === null) return;
    setActive(row.task.id);
    const at = rows.indexOf(row) * ROW;
    const { scrollTop, clientHeight } = box.current;
    if (at < scrollTop) box.current.scrollTop = at;
    else if (at + ROW > scrollTop + clientHeight) box.current.scrollTop = at + ROW - clientHeight;
  };
  const press = (event: KeyboardEvent): void => {
    const index = Math.max(
      0,
      rows.findIndex(({ task }) => task.id === active),
    );
    const row = rows[index];
    if (row === undefined) return;
    const isOpen = open.has(row.task.id);
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
        {visible.map(({ row: { task, level, position }, index }) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the tree has the keyboard, rows the pointer
          // biome-ignore lint/a11y/useFocusableInteractive: the tree has the focus and names its active row
          <div
            key={task.id}
            id={`task-${task.id}`}
            class="tree-row"
            role="treeitem"
            aria-level={level}
            aria-posinset={position}
            aria-setsize={-1}
            aria-expanded={task.children > 0 ? open.has(task.id) : undefined}
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
                if (task.children > 0) toggle(task.id, !open.has(task.id));
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

async function childrenOf(id: string): Promise<readonly TaskSummary[]> {
  const found: TaskSummary[] = [];
  let after: string | null = null;
  do {
    const query = { limit: PAGE, ...(after === null ? {} : { after }) };
    const page: { items: readonly TaskSummary[]; next: string | null } = await request(
      'GET /api/tasks/:id/children',
      { path: { id }, query },
    );
    found.push(...page.items);
    after = page.next;
  } while (after !== null);
  return found;
}
