/**
 * Why a task waits for a peer (D18): a message on its way, a peer that is down, one that has the task and what it said of
 * it last, one that cannot be asked; and dead letters, with what the operator can do. Pure.
 */
import type { Failure } from '../errors.ts';
import { hasEnded, isSent, type Task } from './model.ts';
import type { Why, WhyFacts } from './why.ts';
import { date, nameOf, peerName, progress, rounds, say, short, timer, times } from './why-text.ts';

/** Of a task that a peer executes, and that has begun. */
export function sent(facts: WhyFacts, about: { repeats(task: Task): boolean }): Why {
  const { task, pending, heard, told } = facts;
  const [message] = pending;
  if (message !== undefined) return delivery(facts, message);
  const peer = peerName(facts);
  const since = date(task.modifiedDate);
  switch (task.status) {
    case 'syncing':
      return atPeer(
        facts,
        'reservation',
        `waits for a reservation of ${peer}, since ${since}${rounds(facts)}`,
      );
    case 'reserved': {
      const until = timer(facts, 'reservation');
      const sentence = `${peer} has reserved${until === null ? '' : ` until ${date(until)}`}; the others have not all${rounds(facts)}`;
      return atPeer(facts, 'start', sentence, { next: until });
    }
    case 'confirmed': {
      const sentence = `${peer} was told to start at ${date(told?.at ?? task.modifiedDate)}, and has not reported yet`;
      return atPeer(facts, 'peer', `${sentence}${asking(facts, about)}`);
    }
    case 'sent': {
      const sentence = `${peer} has it since ${date(told?.at ?? task.modifiedDate)}, and has not reported yet`;
      return atPeer(facts, 'peer', `${sentence}${doubt(facts)}${asking(facts, about)}`);
    }
    default: {
      const since = heard?.at ?? task.modifiedDate;
      const decision = awaitedDecision(task);
      if (decision !== null) {
        const sentence = `waits for a decision of the operators of ${peer}: ${decision}, as ${peer} said at ${date(since)}`;
        return atPeer(facts, 'approval', sentence, { since });
      }
      const sentence = `${peer} executes it${progress(task)}, last heard of at ${date(since)}`;
      return atPeer(facts, 'peer', `${sentence}${asking(facts, about)}`, { since });
    }
  }
}

/** A peer may go away while it has the task: then nothing is on its way, and nothing will come. */
function atPeer(facts: WhyFacts, waitingFor: Why['waitingFor'], said: string, more: Partial<Why> = {}): Why {
  const { peer } = facts;
  if (peer === null || peer.downSince === null) return say(facts, waitingFor, said, more);
  const { downSince: since, nextAttempt: next } = peer;
  const tried = { attempts: 0, lastError: peer.lastError };
  return say(facts, 'peer', `${said}; but ${silence(facts)}`, { since, tried, next });
}

/** `auth2 does not answer since … (connection refused); the next attempt is at …` */
function silence(facts: WhyFacts, reason = facts.peer?.lastError ?? null): string {
  const { downSince, nextAttempt } = facts.peer!;
  const because = reason === null ? '' : ` (${reason})`;
  const again = nextAttempt === null ? '' : `; the next attempt is at ${date(nextAttempt)}`;
  return `${peerName(facts)} ${manner(reason ?? '')} since ${date(downSince!)}${because}${again}`;
}

/** Of a peer only the words of its last answer are kept: what it says when it does not know us, and what we say of strangers. */
const STRANGERS = [
  'is not one of a peer of this node',
  'has no role that allows this',
  'a client certificate is required',
  'certificates forwarded by',
];
const IMPOSTOR = 'did not present the certificate pinned';

function manner(reason: string): string {
  if (reason.includes(IMPOSTOR)) return 'cannot be recognised: another certificate answers there,';
  if (STRANGERS.some((words) => reason.includes(words))) return 'answers, and does not let this node in,';
  return 'does not answer';
}

/** An original answers an error to what it has handled before, and to what it cannot handle (D21). */
function doubt({ told }: WhyFacts): string {
  return told?.error == null ? '' : `; whether it took it is in doubt: ${told.error.message}`;
}

/** Whether it will be asked; of an original, that it cannot be. */
function asking(facts: WhyFacts, { repeats }: { repeats(task: Task): boolean }): string {
  const { peer, task } = facts;
  const at = timer(facts, 'pingback');
  if (peer?.dialect !== 'frestq') return at === null ? '' : `; it is asked at ${date(at)}`;
  if (at !== null && repeats(task) && (task.status === 'sent' || task.status === 'executing'))
    return `; it is an original, which cannot be asked: the task is sent to it again at ${date(at)}`;
  return '; it is an original, which cannot be asked how far it is, and the task is not sent again';
}

/** What a receiver says when its operators are asked (`flow.start` of an external task). */
function awaitedDecision({ progress: state }: Task): string | null {
  if (state === null || typeof state !== 'object' || Array.isArray(state)) return null;
  return state.awaits === 'decision' && typeof state.step === 'string' ? state.step : null;
}

/** A message that is not delivered yet. */
export function delivery(facts: WhyFacts, message: WhyFacts['pending'][number]): Why {
  const { peer } = facts;
  const name = peerName(facts);
  const { attempts, nextAttempt: next, created: since } = message;
  const lastError = message.error?.message ?? peer?.lastError ?? null;
  const tried = { attempts, lastError };
  if (peer !== null && peer.downSince !== null)
    return say(facts, 'peer', silence(facts, lastError), {
      since: peer.downSince,
      tried,
      next: peer.nextAttempt,
    });
  if (attempts === 0) {
    // A peer of which nothing is known is asked first what it is.
    const until = peer?.dialect === 'unknown' ? `, as soon as ${name} has said what it is` : '';
    return say(
      facts,
      'delivery',
      `its message to ${name} is about to be sent${until}, since ${date(since)}`,
      {
        since,
      },
    );
  }
  if (message.error === null) {
    const sentence = `its message of ${date(since)} is on its way to ${name}, which has not answered yet`;
    return say(facts, 'delivery', sentence, { since, tried, next });
  }
  const sentence = `its message to ${name} was tried ${times(attempts)} (${lastError}); again at ${date(next)}`;
  return say(facts, 'delivery', sentence, { since, tried, next });
}

/** What became of a letter that will not be sent any more: who refused what, how, and what helps. */
export function deadLetter(facts: WhyFacts): string {
  const { dead, task } = facts;
  if (dead === null) return '';
  const peer = peerName(facts);
  const what = isSent(task) ? `${nameOf(task)} (${short(task.id)})` : 'what became of it';
  const { error, status } = dead;
  const answer =
    status === null
      ? (error?.message ?? 'no reason is known')
      : `${peer} answered ${status}: ${words(error)}`;
  return `${what} could not be told to ${peer}, and was given up at ${date(dead.settled)}: ${answer}; ${remedy(facts, error)}`;
}

/** The peer's own words, where they are known. */
function words(error: Failure | null): string {
  const { reason } = (error?.data ?? {}) as { reason?: unknown };
  return typeof reason === 'string' ? reason : (error?.message ?? 'without a reason');
}

function remedy(facts: WhyFacts, error: Failure | null): string {
  const { code } = (error?.data ?? {}) as { code?: unknown };
  const peer = peerName(facts);
  const { action, queue } = facts.task;
  const again =
    facts.director === null ? 'then try the whole tree again' : `then ${facts.director} can ask again`;
  switch (error?.code === 'peer_refused' ? code : error?.code) {
    case 'unknown_peer':
      return `add the peer again (conclave peers add FILE), ${again}`;
    case 'undeliverable':
      return `see why it was away (conclave peers check), ${again}`;
    case 'unknown_action':
    case 'unknown_queue':
      return `the operator of ${peer} has to install what executes ${action} of the queue ${queue}, ${again}`;
    case 'task_not_found':
      return `${peer} does not know the task any more: its database may have been restored`;
    case 'wrong_peer':
    case 'task_exists':
      return `at ${peer} the task belongs to somebody else: ask its operator`;
    default:
      return `ask the operator of ${peer} about it, ${again}`;
  }
}

/** What has ended here, but is not known to the peer that waits for it. */
export function untold(facts: WhyFacts): string {
  const [message] = facts.pending;
  if (!hasEnded(facts.task) || isSent(facts.task) || message === undefined) return '';
  return `; ${peerName(facts)} is still to be told: ${delivery(facts, message).sentence}`;
}
