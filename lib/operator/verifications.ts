/**
 * The node's own verifier on its published tallies, for operators: one at a time, in a thread of its own. Reports are
 * this process's and are forgotten with it; who needs a lasting one runs `conclave verify` on the archive.
 */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { ConclaveError, reasonOf } from '../errors.ts';
import type { OperatorServices } from './services.ts';
import type { VerificationView } from './views.ts';

type Step = VerificationView['steps'][number];

const KEPT = 50;
const THREAD = new URL('./verification-thread.ts', import.meta.url);

export class Verifications {
  readonly #services: OperatorServices;
  readonly #changed: (view: VerificationView) => void;
  /** By tally, the latest of each; oldest first. */
  readonly #reports = new Map<string, VerificationView>();
  #running: { readonly tally: string; readonly worker: Worker } | null = null;

  /** `changed`: at every step and at the end. */
  constructor(services: OperatorServices, changed: (view: VerificationView) => void) {
    this.#services = services;
    this.#changed = changed;
  }

  /** The latest of a tally; null: none since this process began. */
  of(tallyId: string): VerificationView | null {
    return this.#reports.get(tallyId) ?? null;
  }

  /** @throws ConclaveError `not_found` */
  demand(electionId: string, tallyId: string): VerificationView {
    const report = this.of(tallyId);
    if (report !== null && report.election_id === electionId) return report;
    throw new ConclaveError('not_found', { path: `a verification of the tally ${tallyId}` });
  }

  /**
   * Begins, or answers with the one of the same tally that runs.
   * @throws ConclaveError `not_found`; `not_allowed` while another tally is verified, or when it is not the published one
   */
  async start(electionId: string, tallyId: string, operator: string): Promise<VerificationView> {
    const { db, elections } = this.#services;
    const { rows } = await db.raw<{ rows: { tally_id: string; status: string }[] }>(
      'select tally_id, status from tallies where election = ? order by id desc',
      [electionId],
    );
    if (!rows.some(({ tally_id }) => tally_id === tallyId))
      throw new ConclaveError('not_found', { path: `the tally ${tallyId}` });
    if (rows.find(({ status }) => status === 'published')?.tally_id !== tallyId)
      throw new ConclaveError('not_allowed', { reason: 'it is not the tally that is published' });
    if (this.#running?.tally === tallyId) return this.of(tallyId)!;
    if (this.#running !== null)
      throw new ConclaveError('not_allowed', { reason: 'another tally is being verified' });
    const view: VerificationView = {
      id: randomUUID(),
      election_id: electionId,
      tally_id: tallyId,
      state: 'running',
      started_date: new Date().toISOString(),
      ended_date: null,
      steps: [],
      reason: null,
    };
    this.#run(view, join(elections.publicFolder, electionId, 'tally.tar.gz'), operator);
    return view;
  }

  async close(): Promise<void> {
    await this.#running?.worker.terminate();
  }

  #run(view: VerificationView, path: string, operator: string): void {
    const { tally_id } = view;
    const worker = new Worker(THREAD, { workerData: { path } });
    this.#running = { tally: tally_id, worker };
    this.#keep(view);
    let verdict: boolean | null = null;
    let reason = 'the verifier was ended';
    worker.on('message', (message: { step: Step } | { ok: boolean }) => {
      const current = this.of(tally_id)!;
      if ('ok' in message) verdict = message.ok;
      else this.#keep({ ...current, steps: [...current.steps, message.step] });
    });
    worker.once('error', (error) => {
      reason = reasonOf(error);
    });
    worker.once('exit', () => {
      this.#running = null;
      const state = verdict === null ? 'failed' : verdict ? 'valid' : 'invalid';
      this.#keep({
        ...this.of(tally_id)!,
        state,
        ended_date: new Date().toISOString(),
        reason: state === 'failed' ? reason : null,
      });
      const { record, db } = this.#services;
      const entry = { election: view.election_id, tally: tally_id, outcome: state };
      // The trail may be closed already, when the node stops.
      void record(db, { kind: 'tally_verified', by: operator, ...entry }).catch(() => {});
    });
  }

  #keep(view: VerificationView): void {
    this.#reports.delete(view.tally_id);
    this.#reports.set(view.tally_id, view);
    for (const tally of [...this.#reports.keys()].slice(0, -KEPT)) this.#reports.delete(tally);
    this.#changed(view);
  }
}
