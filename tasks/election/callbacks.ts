/**
 * Telling the election manager how a request ended (EO-27, EO-28, EO-41): a task of its own, so that a receiver that is
 * down is tried again, and the operator sees it in the tree.
 */
import { z } from 'zod';
import type { TaskView } from '../../lib/engine/context.ts';
import { type DefinedTask, defineTask, TaskError } from '../../lib/engine/definitions.ts';
import { simple, type TreeNode } from '../../lib/engine/tree.ts';
import type { Failure } from '../../lib/errors.ts';
import type { Json } from '../../lib/json.ts';
import type { ElectionId } from './election.ts';
import type { ElectionServices } from './services.ts';

export const DIRECTOR_QUEUE = 'orchestra_director';
export const PERFORMER_QUEUE = 'orchestra_performer';
export const MIXNET_QUEUE = 'mixnet_queue';

export type Request = 'POST /election' | 'POST /tally';

const input = z.object({ url: z.url(), body: z.record(z.string(), z.unknown()) });

/** For about a day: 1 s, doubled up to half an hour. */
const RETRY = { attempts: 60, initialDelay: 1000, maximalDelay: 1_800_000 };

export function callbackDefinitions(services: ElectionServices): DefinedTask[] {
  return [
    defineTask(
      {
        queue: DIRECTOR_QUEUE,
        action: 'send_callback',
        input,
        localOnly: true,
        retry: RETRY,
        idempotent: true,
      },
      async ({ input: { url, body } }, ctx) => {
        await services.callback(url, body, ctx.signal);
        return { delivered: true };
      },
    ),
  ];
}

export function callbackTask(url: string, body: Json): TreeNode {
  return simple({ queue: DIRECTOR_QUEUE, action: 'send_callback', data: { url, body }, label: 'callback' });
}

export function reference(electionId: ElectionId, action: Request): Json {
  return { election_id: electionId, action };
}

/** EO-28, with the reason that the original left out (1B.6): who, what, and what to do. */
export function errorBody(electionId: ElectionId, action: Request, failure: Failure): Json {
  const summary =
    action === 'POST /election'
      ? 'election creation failed for some reason'
      : 'election tally failed for some reason';
  const cause = deepest(failure);
  return {
    status: 'error',
    reference: reference(electionId, action),
    data: {
      message: `${summary}: ${cause.message}`,
      code: cause.code,
      ...(cause.node === undefined ? {} : { node: cause.node }),
      ...(cause.data === undefined ? {} : { details: cause.data as Json }),
    },
  };
}

/**
 * What an authority answered to a task. @throws TaskError naming it when that is not what was asked for
 */
export function demandAnswer<Output>(
  schema: z.ZodType<Output>,
  { action, output }: Pick<TaskView, 'action' | 'output'>,
  authority: string,
): Output {
  const parsed = schema.safeParse(output);
  if (parsed.success) return parsed.data;
  throw new TaskError(
    `${authority} answered ${action} with something else than was asked for`,
    { authority, action },
    'proof_invalid',
  );
}

/** The error where it began: containers pass on the error of a subtask as their data. */
export function deepest(failure: Failure): Failure {
  const { cause } = (failure.data ?? {}) as { cause?: unknown };
  return failure.code === 'subtasks_failed' && typeof cause === 'object' && cause !== null
    ? deepest(cause as Failure)
    : failure;
}
