/** The outcome of a verification: a list of steps, each with its own reason if it failed. */
import { Refusal, type RefusalReason } from '../refusal.ts';

export interface VerificationStep {
  /** Stable, e.g. `shuffle-2`. */
  readonly id: string;
  readonly title: string;
  readonly ok: boolean;
  readonly reason?: RefusalReason;
  readonly detail?: string;
}

/** Thrown inside a verification to end it after a step on which all that follows depends. */
class Halt extends Error {}

export class VerificationReport {
  readonly steps: VerificationStep[] = [];
  readonly #onStep: ((step: VerificationStep) => void) | undefined;

  constructor(onStep?: (step: VerificationStep) => void) {
    this.#onStep = onStep;
  }

  get ok(): boolean {
    return this.steps.length > 0 && this.steps.every((step) => step.ok);
  }

  /** A step on which others depend: the verification ends if it fails. */
  require<T>(id: string, title: string, check: () => T): T {
    const outcome = this.#run(id, title, check);
    if (outcome === null) throw new Halt();
    return outcome.value;
  }

  /** A step that is noted and does not stop the others. */
  note(id: string, title: string, check: () => void): void {
    this.#run(id, title, check);
  }

  /** Runs a whole verification; it may end early, never by another error than a defect of the program. */
  run(verification: () => void): this {
    try {
      verification();
    } catch (error) {
      if (!(error instanceof Halt)) throw error;
    }
    return this;
  }

  #run<T>(id: string, title: string, check: () => T): { value: T } | null {
    try {
      const value = check();
      this.#add({ id, title, ok: true });
      return { value };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#add({ id, title, ok: false, reason: error.reason, detail: error.message });
      return null;
    }
  }

  #add(step: VerificationStep): void {
    this.steps.push(step);
    this.#onStep?.(step);
  }
}
