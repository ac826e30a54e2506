/*
 * The tasks of one tree as far as they are opened: the children of each open task, page by page. Asks again for the pages
 * that an event names and no others; for everything only when it is not known what has changed.
 */
import type { Page, TaskSummary } from '../../../operator/views.ts';
import { request } from './api.ts';
import type { LiveEvent } from './connection.ts';
import { isFreshStart, repeatable } from './query.ts';

const PAGE = 500;

interface BranchPage {
  /** The cursor after which it begins; null: the first. */
  readonly after: string | null;
  readonly items: readonly TaskSummary[];
}

export class TaskBranches {
  readonly #rootId: string;
  readonly #changed: () => void;
  readonly #branches = new Map<string, readonly BranchPage[]>();
  /** Of a branch, which pages are due; `all` also when it is not there yet. */
  #due = new Map<string, Set<number> | 'all'>();
  #rootIsDue = true;
  #root: TaskSummary | undefined;
  readonly #work: () => void;

  /** @param changed there is something else to show */
  constructor(rootId: string, changed: () => void) {
    this.#rootId = rootId;
    this.#changed = changed;
    this.#work = repeatable(() => this.#ask());
  }

  get root(): TaskSummary | undefined {
    return this.#root;
  }

  /** Those that have come so far, by order. */
  childrenOf(id: string): TaskSummary[] {
    return (this.#branches.get(id) ?? []).flatMap(({ items }) => items);
  }

  isOpen(id: string): boolean {
    return this.#branches.has(id);
  }

  open(id: string): void {
    if (this.#branches.has(id)) return;
    this.#branches.set(id, []);
    this.#due.set(id, 'all');
    this.#work();
  }

  close(id: string): void {
    this.#branches.delete(id);
    this.#due.delete(id);
  }

  hear(event: LiveEvent): void {
    if (isFreshStart(event)) this.#everythingIsDue();
    else if (event.type === 'tasks') {
      const { ids, roots, complete } = event.data;
      if (!complete) this.#everythingIsDue();
      else if (roots.includes(this.#rootId)) this.#theseAreDue(new Set(ids));
      else return;
    } else return;
    this.#work();
  }

  #everythingIsDue(): void {
    this.#rootIsDue = true;
    for (const id of this.#branches.keys()) this.#due.set(id, 'all');
  }

  #theseAreDue(ids: ReadonlySet<string>): void {
    let known = 0;
    if (ids.has(this.#rootId)) {
      this.#rootIsDue = true;
      known += 1;
    }
    for (const [id, pages] of this.#branches)
      for (const [index, { items }] of pages.entries()) {
        const found = items.filter((task) => ids.has(task.id)).length;
        known += found;
        if (found > 0) this.#pageIsDue(id, index);
      }
    // Tasks that have just come to be stand at the end of their parent's children.
    if (known < ids.size)
      for (const [id, pages] of this.#branches) this.#pageIsDue(id, Math.max(0, pages.length - 1));
  }

  #pageIsDue(id: string, index: number): void {
    const due = this.#due.get(id);
    if (due === 'all') return;
    if (due === undefined) this.#due.set(id, new Set([index]));
    else due.add(index);
  }

  async #ask(): Promise<void> {
    const [due, rootIsDue] = [this.#due, this.#rootIsDue];
    this.#due = new Map();
    this.#rootIsDue = false;
    try {
      if (rootIsDue) this.#root = await request('GET /api/tasks/:id', { path: { id: this.#rootId } });
      for (const [id, pages] of due) {
        if (pages === 'all') await this.#askFrom(id, 0);
        else for (const index of pages) await this.#askFor(id, index);
      }
    } catch {
      // What was there stays in view; who comes back to the node asks for everything.
    }
    this.#changed();
  }

  /** One page; if it was the last and is full, those that follow as well. */
  async #askFor(id: string, index: number): Promise<void> {
    const before = this.#branches.get(id);
    if (before === undefined) return;
    if (index >= before.length - 1) return await this.#askFrom(id, index);
    const { after } = before[index]!;
    const { items } = await pageOf(id, after);
    this.#put(id, index, { after, items });
  }

  /** From this page to the end. */
  async #askFrom(id: string, first: number): Promise<void> {
    let after = this.#branches.get(id)?.[first]?.after ?? null;
    for (let index = first; this.#branches.has(id); index += 1) {
      const { items, next } = await pageOf(id, after);
      this.#put(id, index, { after, items });
      if (next === null) {
        const pages = this.#branches.get(id);
        if (pages !== undefined) this.#branches.set(id, pages.slice(0, index + 1));
        return;
      }
      after = next;
      this.#changed();
    }
  }

  #put(id: string, index: number, page: BranchPage): void {
    const pages = this.#branches.get(id);
    if (pages === undefined) return;
    const put = [...pages];
    put[index] = page;
    this.#branches.set(id, put);
  }
}

function pageOf(id: string, after: string | null): Promise<Page<TaskSummary>> {
  const query = { limit: PAGE, ...(after === null ? {} : { after }) };
  return request('GET /api/tasks/:id/children', { path: { id }, query });
}
