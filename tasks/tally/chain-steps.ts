/** The steps of the director's machine; see `chain.ts`. */
import type { z } from 'zod';
import type { HandlerContext, TaskView } from '../../lib/engine/context.ts';
import { TaskError } from '../../lib/engine/definitions.ts';
import type { AsyncData } from '../../lib/engine/model.ts';
import type { Json } from '../../lib/json.ts';
import { fileNames } from '../../lib/mixnet/directory/file-names.ts';
import type { ElectionServices } from '../election/services.ts';
import { attempt, listFile } from './attempt.ts';
import {
  type Answer,
  answersBefore,
  askAll,
  type Chain,
  exclude,
  next,
  reference,
  type Step,
  stepOf,
} from './chain.ts';
import { commitmentOutput, factorsOutput, replyOutput, writeProofs } from './decryption.ts';
import { shuffleFiles, shuffleOutput } from './mixing.ts';
import { COMMITMENT_LOST } from './one-answer.ts';
import { type Mixed, mixed } from './publication.ts';

/** An authority whose database was started again commits anew; one that never keeps a commitment is left out. */
const MOST_RECOMMITMENTS = 3;

type StepHandler = (services: ElectionServices, task: TaskView<Chain>, ctx: HandlerContext) => Promise<void>;

/** Makes a handler of a step: what it appends goes to `mix_session`. */
function step(run: (step: Step) => Promise<void>): StepHandler {
  return async (services, task, ctx) => run(await stepOf(services, task, ctx));
}

/**
 * The first step: its task holds all the others. Who did not begin with the others, or was left out of an earlier question,
 * takes no part: nobody waits for the same authority twice.
 */
export const mixSession: StepHandler = async (services, task, ctx) => {
  const begun = await afterEarlier(await stepOf(services, task, ctx), task.order);
  const late = (await answersBefore(ctx)).filter(
    ({ position, failure }) => failure !== undefined && begun.chain.able.includes(position),
  );
  const changes = exclude(
    begun,
    late.map(({ position, failure }) => ({ position, reason: failure! })),
  );
  if (begun.own.state.length > 0) ctx.add(...nextShuffle(begun, changes));
  else {
    const chain = { ...begun.chain, ...changes };
    ctx.setOutput(ended({ ...begun, chain }, {}, {}, []) as unknown as Json);
  }
};

/** The step as it is after the questions before it. */
async function afterEarlier(step: Step, order: number): Promise<Step> {
  const earlier = (await step.ctx.siblings())
    .filter((sibling) => sibling.action === 'mix_session' && sibling.order < order)
    .map(({ output }) => mixed.parse(output))
    .at(-1);
  if (earlier === undefined) return step;
  const able = step.chain.able.filter((position) => earlier.able.includes(position));
  return { ...step, chain: { ...step.chain, able, candidates: able, excluded: earlier.excluded } };
}

/** Either the next shuffle, or, when there are t, the decryption. */
function nextShuffle(at: Step, changes: Partial<Chain>): ReturnType<typeof next>[] {
  const chain = { ...at.chain, ...changes };
  const { shufflers, candidates } = chain;
  const from = shufflers.at(-1) ?? 0;
  if (shufflers.length >= at.election.threshold) {
    const of = chain.able;
    const asked = askAll(at, { action: 'decryption_factors', of, data: () => ({ ...reference(at), from }) });
    return [asked, next(at, 'collect_factors', chain)];
  }
  const candidate = candidates[0];
  if (candidate === undefined)
    throw new TaskError(
      `${shufflers.length} of ${at.election.threshold} shuffles were made, and nobody is left to make one`,
      { excluded: chain.excluded },
      'proof_invalid',
    );
  const asked = askAll(at, { action: 'shuffle', of: [candidate], data: () => ({ ...reference(at), from }) });
  return [asked, next(at, 'spread_shuffle', chain)];
}

/** The shuffle is there: everybody verifies it, fetching it from its maker. */
export const spreadShuffle = step(async (at) => {
  const { chain, ctx } = at;
  const candidate = chain.candidates[0]!;
  const [answer] = await answersBefore(at.ctx);
  const made = parsed(answer, shuffleOutput);
  if (made === undefined) {
    const gone = exclude(at, [{ position: candidate, reason: failureOf(answer) }]);
    ctx.addToParent(...nextShuffle(at, gone));
    return;
  }
  const others = chain.able.filter((position) => position !== candidate);
  const from = chain.shufflers.at(-1) ?? 0;
  const data = { ...reference(at), from, party: candidate, signature: made.signature };
  if (others.length === 0) {
    ctx.addToParent(...nextShuffle(at, accepted(chain, candidate)));
    return;
  }
  ctx.addToParent(
    askAll(at, {
      action: 'verify_shuffle',
      of: others,
      data: () => data,
      asyncData: () => named(made.files, shuffleFiles(candidate)),
    }),
    next(at, 'judge_shuffle'),
  );
});

/** Of what an authority offers, the files that the step is about. */
function named(files: AsyncData, names: readonly string[]): AsyncData {
  return Object.fromEntries(
    names.flatMap((name) => (files[name] === undefined ? [] : [[name, files[name]]])),
  );
}

function accepted({ shufflers, candidates }: Chain, shuffler: number): Partial<Chain> {
  return {
    shufflers: [...shufflers, shuffler],
    candidates: candidates.filter((position) => position !== shuffler),
  };
}

/**
 * Who verified the shuffle? If this node could not, the shuffler is left out; if others could not while it could, or
 * while it was the shuffler, they are: a proof is valid for everybody or for nobody.
 */
export const judgeShuffle = step(async (at) => {
  const { chain, ctx, election } = at;
  const shuffler = chain.candidates[0]!;
  const answers = await answersBefore(at.ctx);
  const failed = answers.filter(({ failure }) => failure !== undefined);
  const own = answers.find(({ position }) => position === election.position);
  if (own?.failure !== undefined) {
    ctx.addToParent(...nextShuffle(at, exclude(at, [{ position: shuffler, reason: own.failure }])));
    return;
  }
  const gone = exclude(
    at,
    failed.map(({ position, failure }) => ({ position, reason: failure! })),
  );
  const left = { ...chain, ...gone };
  ctx.addToParent(...nextShuffle(at, { ...gone, ...accepted(left, shuffler) }));
});

/** Round 2 needs the factors of all who will take part in the joint proof. */
export const collectFactors = step(async (at) => {
  const { given, gone } = await collected(at, factorsOutput);
  const changes = gone.length > 0 ? exclude(at, gone) : {};
  const active = [...given.keys()].sort((a, b) => a - b);
  const from = at.chain.shufflers.at(-1)!;
  const others = (position: number): AsyncData =>
    Object.assign(
      {},
      ...active
        .filter((other) => other !== position)
        .map((other) => named(given.get(other)!.files, [fileNames.factors(other)])),
    );
  at.ctx.addToParent(
    askAll(at, {
      action: 'decryption_commitment',
      of: active,
      data: () => ({ ...reference(at), from, active }),
      asyncData: others,
    }),
    next(at, 'collect_commitments', { ...changes, active }),
  );
});

/** Round 3, or round 1 again without those who gave no commitment: the joint proof is of all or of none. */
export const collectCommitments = step(async (at) => {
  const { given, gone } = await collected(at, commitmentOutput);
  if (gone.length > 0) return again(at, gone);
  const { active } = at.chain;
  const commitments = Object.fromEntries(
    active.map((position) => [position, given.get(position)!.commitment]),
  );
  const from = at.chain.shufflers.at(-1)!;
  at.ctx.addToParent(
    askAll(at, {
      action: 'decryption_reply',
      of: active,
      data: () => ({ ...reference(at), from, active, commitments }),
    }),
    next(at, 'judge_decryption', { commitments }),
  );
});

function again(at: Step, gone: readonly Gone[]): void {
  const lost = ({ code }: Gone): boolean => code === COMMITMENT_LOST;
  const once = gone.some(lost) && at.chain.recommitted < MOST_RECOMMITMENTS;
  const changes = exclude(at, once ? gone.filter((failed) => !lost(failed)) : gone);
  const recommitted = at.chain.recommitted + (once ? 1 : 0);
  at.ctx.addToParent(...nextShuffle(at, { ...changes, recommitted, active: [], commitments: {} }));
}

/** Each party's decryption is checked by itself: who fails is named, and does not count. */
export const judgeDecryption = step(async (at) => {
  const { chain, ctx, services } = at;
  const { given, gone } = await collected(at, replyOutput);
  if (gone.length > 0) return again(at, gone);
  const { active, commitments } = chain;
  const replies = Object.fromEntries(active.map((position) => [position, given.get(position)!.reply]));
  const from = chain.shufflers.at(-1)!;
  const files = [listFile(from), fileNames.polynomial, ...active.map(fileNames.factors)];
  const { failing } = await attempt(at, files, async (judged) => {
    await writeProofs(judged.directory, fileNames.decryptionCommitment, active, commitments);
    await writeProofs(judged.directory, fileNames.decryptionReply, active, replies);
    return services.mixnet.run('failingDecryptors', { ...judged, from, active }, { signal: ctx.signal });
  });
  const wrong = failing.map((position) => ({
    position,
    reason: 'its proof of correct decryption is not valid',
  }));
  const left = { ...chain, ...exclude(at, wrong) };
  const correct = active.filter((position) => !failing.includes(position));
  ctx.setParentOutput(ended({ ...at, chain: left }, commitments, replies, correct) as unknown as Json);
});

function ended(
  { chain }: Step,
  commitments: Record<string, string>,
  replies: Record<string, string>,
  correct: number[],
): Mixed {
  const { able, session_id, shufflers, active, excluded } = chain;
  return { able, session_id, shufflers, active, correct, commitments, replies, excluded };
}

/** Who gave no answer, and why. */
interface Gone {
  position: number;
  reason: string;
  code?: string | undefined;
}

async function collected<Output>(
  at: Step,
  schema: z.ZodType<Output>,
): Promise<{ given: Map<number, Output>; gone: Gone[] }> {
  const given = new Map<number, Output>();
  const gone: Gone[] = [];
  for (const answer of await answersBefore(at.ctx)) {
    const output = parsed(answer, schema);
    const { position, code } = answer;
    if (output === undefined) gone.push({ position, reason: failureOf(answer), code });
    else given.set(answer.position, output);
  }
  return { given, gone };
}

function parsed<Output>(answer: Answer | undefined, schema: z.ZodType<Output>): Output | undefined {
  if (answer === undefined || answer.failure !== undefined) return undefined;
  return schema.safeParse(answer.output).data;
}

function failureOf(answer: Answer | undefined): string {
  return answer?.failure ?? 'its answer is malformed';
}
