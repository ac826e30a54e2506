/* Tells a benchmark's commands when tasks of their node have ended, without asking the database for each. */

export class EndedTasks {
  readonly #waiting = new Map<string, () => void>();
  /** Ends that were heard of before anybody waited for them. */
  readonly #early = new Set<string>();
  #count = 0;

  /** How many ends were heard of. */
  get count(): number {
    return this.#count;
  }

  /** The node's hint after a commit. */
  heard(taskIds: readonly string[]): void {
    this.#count += taskIds.length;
    for (const id of taskIds) {
      const wake = this.#waiting.get(id);
      if (wake === undefined) this.#early.add(id);
      else {
        this.#waiting.delete(id);
        wake();
      }
    }
  }

  /** Resolves when the task has ended. Each task may be waited for once; those that nobody waits for are to be forgotten. */
  of(taskId: string): Promise<void> {
    if (this.#early.delete(taskId)) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.set(taskId, resolve));
  }

  /** Forgets ends that nobody waited for (subtasks, tasks of other nodes). */
  forget(): void {
    this.#early.clear();
  }
}
