/**
 * The outcome of a verification: a list of steps, each with its own reason if it failed.
 *
 * Equations are not checked where they are met but kept until `settle`, so that all of them go into one product; steps
 * are nevertheless reported in their order, and none before those that precede it are decided. Only if the product is
 * not one is each step's claim checked by itself.
 */
import type { Group } from '../groups/group.ts';
import { allHold, type Claim, establish } from '../proofs/equations.ts';
import { Refusal, type RefusalReason } from '../refusal.ts';
import { sectionOf } from './sections.ts';

export interface VerificationStep {
  /** Stable, e.g. `shuffle-2`. */
  readonly id: string;
  /** Where docs/specification/verification.md describes it. */
  readonly section: number;
  readonly title: string;
  readonly ok: boolean;
  readonly reason?: RefusalReason;
  readonly detail?: string;
}

/** A step whose form is good and whose claims are not decided yet. */
interface OpenStep {
  readonly id: string;
  readonly title: string;
  readonly claims: readonly Claim[];
  /** Does all that follows depend on it? */
  readonly decisive: boolean;
}

/** Thrown inside a verification to end it after a step on which all that follows depends. */
class Halt extends Error {}

export class VerificationReport {
  readonly steps: VerificationStep[] = [];
  readonly #onStep: ((step: VerificationStep) => void) | undefined;
  #group: Group | undefined;
  #open: OpenStep[] = [];

  constructor(onStep?: (step: VerificationStep) => void) {
    this.#onStep = onStep;
  }

  get ok(): boolean {
    return this.steps.length > 0 && this.steps.every((step) => step.ok);
  }

  /** A step on which others depend: the verification ends if it fails. */
  require<T>(id: string, title: string, check: () => T): T {
    let value: T;
    try {
      value = check();
    } catch (error) {
      return this.#fail(id, title, error);
    }
    if (this.#open.length === 0) this.#add({ id, title, ok: true });
    else this.#open.push({ id, title, claims: [], decisive: true });
    return value;
  }

  /** As `require`; what `check` claims besides is decided by the next `settle`. `decisive`: others depend on it. */
  claim<T>(
    group: Group,
    step: { readonly id: string; readonly title: string; readonly decisive: boolean },
    check: () => { readonly value: T; readonly claims: readonly Claim[] },
  ): T {
    let outcome: ReturnType<typeof check>;
    try {
      outcome = check();
    } catch (error) {
      return this.#fail(step.id, step.title, error);
    }
    this.#group = group;
    this.#open.push({ ...step, claims: outcome.claims });
    return outcome.value;
  }

  /** Decides all open claims. */
  settle(): void {
    const open = this.#open;
    const group = this.#group;
    this.#open = [];
    if (open.length === 0 || group === undefined) return;
    const equations = open.flatMap(({ claims }) => claims.flatMap((claim) => claim.equations));
    if (equations.length === 0 || allHold(group, equations)) {
      for (const { id, title } of open) this.#add({ id, title, ok: true });
      return;
    }
    const before = this.steps.length;
    for (const { id, title, claims, decisive } of open) {
      const outcome = this.#run(id, title, () => {
        for (const claim of claims) establish(group, claim);
      });
      if (outcome === null && decisive) throw new Halt();
    }
    // A product that is not one is never accepted, even if chance hid which step is to blame.
    if (this.steps.slice(before).some((step) => !step.ok)) return;
    const { id, title, claims } = open.find((step) => step.claims.length > 0)!;
    this.#note(id, title, claims[0]!.refusal(claims[0]!.equations.map(({ name }) => name)));
    throw new Halt();
  }

  /** Runs a whole verification; it may end early, never by another error than a defect of the program. */
  run(verification: () => void): this {
    try {
      verification();
      this.settle();
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
      this.#note(id, title, error);
      return null;
    }
  }

  #note(id: string, title: string, error: unknown): void {
    if (!(error instanceof Refusal)) throw error;
    this.#add({ id, title, ok: false, reason: error.reason, detail: error.message });
  }

  /** What was met before is decided first: it may be the reason that matters. */
  #fail(id: string, title: string, error: unknown): never {
    this.settle();
    this.#note(id, title, error);
    throw new Halt();
  }

  #add(outcome: Omit<VerificationStep, 'section'>): void {
    const { id, ...rest } = outcome;
    const step = { id, section: sectionOf(id), ...rest };
    this.steps.push(step);
    this.#onStep?.(step);
  }
}
