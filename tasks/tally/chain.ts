/**
 * The director's part of mixing one session (D34, D46): a small machine whose steps are tasks, each of which looks at
 * what the step before it brought, and appends the next.
 *
 *     mix_session
 *      |- shuffle at c           ─┐ for each of the first t able authorities
 *      |- spread_shuffle          │
 *      |- verify_shuffle at all   │
 *      |- judge_shuffle          ─┘
 *      |- decryption_factors at all → collect_factors
 *      |- decryption_commitment at all → collect_commitments
 *      |- decryption_reply at all → judge_decryption
 *
 * An authority that fails, or does not answer in time, is named and left out; the tally goes on while t remain. All that
 * the director decides here is checked again by every authority before it publishes.
 */
import { z } from 'zod';
import type { HandlerContext, TaskView } from '../../lib/engine/context.ts';
import { TaskError } from '../../lib/engine/definitions.ts';
import type { AsyncData } from '../../lib/engine/model.ts';
import { parallel, simple, type TreeNode } from '../../lib/engine/tree.ts';
import type { Json } from '../../lib/json.ts';
import { DIRECTOR_QUEUE, deepest, MIXNET_QUEUE } from '../election/callbacks.ts';
import type { AuthorityRecord } from '../election/records.ts';
import type { ElectionServices } from '../election/services.ts';
import { sessionInput } from './mixing.ts';
import { type SessionParticipation, sessionParticipation } from './participation.ts';

const party = z.int().min(1).max(24);
export const exclusion = z.object({ authority: z.string(), reason: z.string() });

/** What passes from step to step. */
export const chainInput = sessionInput.extend({
  /** Authorities that still take part. */
  able: z.array(party).min(1),
  /** Who may shuffle next, in this order. */
  candidates: z.array(party),
  shufflers: z.array(party),
  excluded: z.array(exclusion),
  /** Decryption: who takes part, and what they gave. */
  active: z.array(party).default([]),
  commitments: z.record(z.string(), z.string()).default({}),
  /** How often authorities lost their commitments and committed anew. */
  recommitted: z.int().nonnegative().default(0),
});
export type Chain = z.infer<typeof chainInput>;

export interface Step extends SessionParticipation {
  services: ElectionServices;
  chain: Chain;
  ctx: HandlerContext;
}

export async function stepOf(
  services: ElectionServices,
  task: TaskView<Chain>,
  ctx: HandlerContext,
): Promise<Step> {
  const part = await sessionParticipation(services, task, task.input);
  return { ...part, services, chain: task.input, ctx };
}

/** What an authority answered to a step: its output, or why there is none. */
export interface Answer {
  position: number;
  output: Json;
  failure: string | undefined;
  /** Of the failure, if it has one. */
  code?: string | undefined;
}

/** The answers to the step before; the tasks' labels are the authorities' positions. */
export async function answersBefore(ctx: HandlerContext): Promise<Answer[]> {
  const before = await ctx.previous();
  return before === undefined ? [] : (await ctx.childrenOf(before.id)).map(answerOf);
}

export function answerOf({ label, status, output, error }: TaskView): Answer {
  const failure =
    status === 'finished' ? undefined : error === null ? 'no answer in time' : deepest(error).message;
  return { position: Number(label), output, failure, code: error === null ? undefined : deepest(error).code };
}

export interface Ask {
  action: string;
  queue: string;
  /** The authorities that are asked, and what each gets. */
  of: readonly number[];
  data: (position: number) => Json;
  asyncData?: (position: number) => AsyncData;
}

/** Asks authorities at the same time; whoever fails or is late does not stop the others. */
export function askEach(
  services: ElectionServices,
  authorities: readonly AuthorityRecord[],
  now: Date,
  ask: Ask,
): TreeNode {
  const patience = services.settings.tallyStepSeconds;
  const expirationDate = new Date(now.getTime() + patience * 1000);
  const children = ask.of.map((position) =>
    simple({
      receiver: authorities[position - 1]!.url,
      queue: ask.queue,
      action: ask.action,
      label: String(position),
      data: ask.data(position),
      ...(ask.asyncData === undefined ? {} : { asyncData: ask.asyncData(position) }),
      expirationDate,
    }),
  );
  // One answer is enough for the container to end well, but every other has its time; the next step sees who gave none.
  return parallel(children, { quorum: 1, quorumWait: patience, handler: 'tally_step', label: ask.action });
}

export function askAll({ services, authorities, ctx }: Step, ask: Omit<Ask, 'queue'>): TreeNode {
  return askEach(services, authorities, ctx.now, { ...ask, queue: MIXNET_QUEUE });
}

/** The next step of the director, with what has changed. */
export function next({ chain }: Step, action: string, changes: Partial<Chain> = {}): TreeNode {
  return simple({
    queue: DIRECTOR_QUEUE,
    action,
    data: { ...chain, ...changes } as unknown as Json,
  });
}

export function reference({ chain }: Step): { [key: string]: Json } {
  const { election_id, tally_id, session_id } = chain;
  return { election_id, tally_id, session_id };
}

/**
 * Leaves authorities out, by name and reason. @throws TaskError when fewer than t remain, or not this node, which cannot
 * lead what it cannot follow
 */
export function exclude(
  { chain, authorities, election }: Step,
  gone: readonly { position: number; reason: string }[],
): Pick<Chain, 'able' | 'candidates' | 'excluded'> {
  const positions = gone.map(({ position }) => position);
  const stays = (position: number): boolean => !positions.includes(position);
  const excluded = [
    ...chain.excluded,
    ...gone.map(({ position, reason }) => ({ authority: nameOf(authorities, position), reason })),
  ];
  const able = chain.able.filter(stays);
  if (able.length < election.threshold || !stays(election.position))
    throw tooFew(able.length, election.threshold, excluded);
  return { able, candidates: chain.candidates.filter(stays), excluded };
}

export type Exclusion = z.infer<typeof exclusion>;

/** The end of a tally for lack of authorities, with everybody's name and reason. */
export function tooFew(
  able: number,
  needed: number,
  excluded: readonly Exclusion[],
  code = 'proof_invalid',
): TaskError {
  const reasons = excluded.map(({ authority, reason }) => `${authority} (${reason})`).join('; ');
  return new TaskError(
    `${able} of the ${needed} authorities that are needed can go on; left out: ${reasons}`,
    { excluded, needed },
    code,
  );
}

export function nameOf(authorities: readonly AuthorityRecord[], position: number): string {
  return authorities[position - 1]?.name ?? `party ${position}`;
}
