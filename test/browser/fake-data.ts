/*
 * What a node might have to show, in the contract's own types: an election whose tally runs, one that is published, a
 * tree of 3,000 tasks, peers, messages, the trail. Every text that others write goes through `say`, which can make it hostile.
 */
import { createHash } from 'node:crypto';
import type * as Views from '../../lib/operator/views.ts';
import { fingerprintWords } from '../../lib/protocol/fingerprint-words.ts';

/** What becomes of a text that a stranger writes. */
export type Say = (text: string) => string;

export const NOW = new Date('2026-12-07T10:00:00.000Z');
export const TREE = { root: 'task-0', wide: 'task-2', deep: 'task-8', tasks: 3_000 } as const;

const minutesAgo = (minutes: number) => new Date(NOW.getTime() - minutes * 60_000).toISOString();
const hex = (text: string) => createHash('sha256').update(text).digest('hex');
const yes = { allowed: true, reason: null } as const;
const no = { allowed: false, reason: 'it has ended' } as const;

export function hash(text: string): Views.HashView {
  return { hex: hex(text), words: fingerprintWords(hex(text)) };
}

function failure(say: Say, message: string): Views.FailureView {
  return { code: 'unreachable', message: say(message), node: say('Auth2'), data: null };
}

// ─── Elections ───

const NAMES = ['Auth1', 'Auth2', 'Auth3'];

function authority(say: Say, index: number): Views.AuthorityIdentity {
  const name = say(NAMES[index]!);
  return {
    position: index + 1,
    name,
    url: say(`https://auth${index + 1}.example:5000/api/queues`),
    certificate: hash(name),
    not_after: '2028-01-01T00:00:00.000Z',
    is_self: index === 0,
    peer_name: index === 0 ? null : name,
  };
}

function step(name: Views.StepName, status: Views.StepView['status'], changes: object = {}): Views.StepView {
  const task_id = TREE.wide;
  return {
    step: name,
    question: null,
    status,
    doing: null,
    done: null,
    total: null,
    task_id,
    error: null,
    modified_date: minutesAgo(1),
    ...changes,
  };
}

/** @param shuffled how many ballots the second authority has shuffled, of 1000 */
export function parts(say: Say, shuffled: number): Views.AuthorityPart[] {
  const running = step('shuffle', 'running', { doing: say('shuffling'), done: shuffled, total: 1000 });
  const shuffle: Views.StepView[] = [
    step('shuffle', 'done'),
    shuffled < 1000 ? running : step('shuffle', 'done'),
    step('shuffle', shuffled < 1000 ? 'waiting' : 'running', { error: null }),
  ];
  return NAMES.map((_, index) => ({
    ...authority(say, index),
    state: index === 0 ? 'done' : index === 1 ? 'working' : 'waiting',
    steps: [
      step('approval', 'done'),
      step('ballots', 'done'),
      shuffle[index]!,
      step('decryption', 'waiting'),
    ],
  }));
}

function details(say: Say): Views.ElectionDetails {
  const answer = (text: string, id: number): Views.AnswerView => ({
    id,
    text: say(text),
    is_write_in: id === 2,
    urls: id === 0 ? [{ title: say('Site'), url: say('https://alice.example') }] : [],
    category: id === 0 ? say('Green list') : null,
    details: id === 1 ? say('Teacher, 48') : null,
  });
  return {
    id: '1',
    title: say('Board of the cooperative'),
    description: say('The yearly election of the board.'),
    url: say('https://election.example/board'),
    callback_url: say('https://manager.example/callback'),
    start_date: say('2026-12-01T08:00:00'),
    end_date: say('2026-12-07T08:00:00'),
    group: 'P-256',
    threshold: 2,
    authorities: NAMES.map((_, index) => authority(say, index)),
    questions: [
      {
        title: say('Who should be president?'),
        description: say('One of three.'),
        tally_type: 'plurality-at-large',
        min: 0,
        max: 1,
        num_winners: 1,
        answers: ['Alice', 'Bob', 'Carol'].map(answer),
      },
    ],
    other: { note: say('by order of the assembly') },
    request_hash: hash('request'),
  };
}

export function approvals(say: Say): Views.ApprovalView[] {
  const common = {
    election_id: '1',
    title: say('Board of the cooperative'),
    asked_by: { name: say('Auth2'), url: say('https://auth2.example:5000/api/queues') },
    requested_date: minutesAgo(12),
    deadline: new Date(NOW.getTime() + 3 * 3_600_000).toISOString(),
    operators_required: 2,
    status: 'waiting',
    election: details(say),
    hashed_text: JSON.stringify({ title: say('Board of the cooperative') }),
    text: say('Election 1'),
    can_decide: yes,
  } as const;
  const decided = { operator: say('Ana'), decision: 'accept', reason: null, date: minutesAgo(3) } as const;
  return [
    {
      ...common,
      id: 'approval-1',
      kind: 'election',
      hash: hash('request'),
      decisions: [decided],
      tally: null,
      previous: {
        id: 'approval-0',
        requested_date: minutesAgo(90),
        hash: hash('before'),
        status: 'denied',
        reason: say('A name is misspelt'),
      },
      changes: [
        {
          path: say('questions/0/answers/1/text'),
          change: 'changed',
          before: say('Bop'),
          after: say('Bob'),
        },
      ],
    },
    {
      ...common,
      id: 'approval-2',
      kind: 'tally',
      hash: hash('tally'),
      decisions: [],
      previous: null,
      changes: [],
      deadline: null,
      tally: {
        callback_url: say('https://manager.example/callback'),
        votes_url: say('https://manager.example/votes'),
        votes_hash: say('ni:///sha-256;f4OxZX_x_FO5LcGBSKHWXfwtSx-j1ncoSt3SABJtkGk'),
        force: true,
        ballots: {
          accepted: 998,
          refused: 2,
          refused_by_reason: { [say('wrong proof')]: 2 },
          accepted_hash: hex('accepted'),
        },
      },
    },
  ];
}

export function election(say: Say, id: '1' | '2', shuffled: number): Views.ElectionView {
  const published = id === '2';
  const download = (name: string): Views.DownloadView => ({
    name,
    url: `/api/elections/${id}/downloads/${name}`,
    size: 1_234_567,
    sha256: hex(name),
  });
  const tally: Views.TallyView = {
    tally_id: `tally-${id}`,
    status: published ? 'published' : 'mixing',
    reason: null,
    votes_hash: say('ni:///sha-256;votes'),
    tally_hash: published ? say('ni:///sha-256;tally') : null,
    created_date: minutesAgo(20),
    modified_date: minutesAgo(1),
    authorities: parts(say, published ? 1000 : shuffled),
    results: published ? results(say) : null,
    downloads: published ? [download('tally.tar.gz')] : [],
    verification: published ? verification(say, 'valid') : null,
  };
  return {
    id,
    title: say(published ? 'Last year’s board' : 'Board of the cooperative'),
    status: 'created',
    reason: null,
    is_director: true,
    questions: 1,
    authorities: 3,
    threshold: 2,
    created_date: minutesAgo(published ? 600_000 : 300),
    modified_date: minutesAgo(1),
    tally_status: tally.status,
    approval_waiting: !published,
    details: { ...details(say), id },
    sessions: [
      {
        session_id: `${id}-0`,
        question: 0,
        key_hash: hash('key'),
        public_key: { group: 'P-256', note: say('a key') },
        share: 'held',
      },
    ],
    creation: parts(say, 1000),
    tallies: [tally],
    trees: [summaryOf(say, TREE.root)],
    downloads: published ? [download('tally.tar.gz.sha256')] : [],
  };
}

function results(say: Say): Views.QuestionResultView[] {
  const candidate = (text: string, points: number, place: number | null) => ({
    text: say(text),
    is_write_in: text === 'Dora',
    points,
    place,
  });
  return [
    {
      title: say('Who should be president?'),
      tally_type: 'plurality-at-large',
      num_winners: 1,
      counted: true,
      totals: { total_votes: 1000, valid_votes: 980, blank_votes: 12, null_votes: 8 },
      candidates: [
        candidate('Alice', 512, 1),
        candidate('Bob', 301, null),
        candidate('Carol', 165, null),
        candidate('Dora', 2, null),
      ],
      tie: { seats: 1, candidates: [say('Bob'), say('Carol')] },
    },
  ];
}

export function verification(
  say: Say,
  state: Views.VerificationView['state'],
  id = 'verification-1',
): Views.VerificationView {
  return {
    id,
    election_id: '2',
    tally_id: 'tally-2',
    state,
    started_date: id === 'verification-1' ? minutesAgo(5) : minutesAgo(0),
    ended_date: state === 'running' ? null : minutesAgo(0),
    steps: ['Ballots', 'Shuffles', 'Decryption'].map((title, index) => ({
      id: String(index),
      title: say(title),
      ok: true,
      detail: say('1000 of 1000'),
    })),
    reason: state === 'failed' ? say('the archive is not there') : null,
  };
}

// ─── Tasks ───

/** `task-0` has three children; `task-2` has those from 100 on; from `task-3` a chain goes down to `task-8`. */
function parentOf(number: number): number | null {
  if (number === 0) return null;
  if (number <= 3) return 0;
  return number <= 8 ? number - 1 : 2;
}

const CHILDREN = new Map<number, number[]>();
for (let number = 1; number < TREE.tasks; number += 1) {
  const parent = parentOf(number)!;
  CHILDREN.set(parent, [...(CHILDREN.get(parent) ?? []), number]);
}

export function childrenOf(id: string): string[] {
  return (CHILDREN.get(Number(id.slice(5))) ?? []).map((number) => `task-${number}`);
}

/** @param finished tasks that have finished besides those that have from the beginning */
export function summaryOf(
  say: Say,
  id: string,
  finished: ReadonlySet<string> = new Set(),
): Views.TaskSummary {
  const number = Number(id.slice(5));
  const parent = parentOf(number);
  const children = CHILDREN.get(number) ?? [];
  const failed = number === 20;
  const done = number > 20 || finished.has(id);
  const status = failed ? 'error' : done ? 'finished' : 'executing';
  return {
    id,
    root_id: TREE.root,
    parent_id: parent === null ? null : `task-${parent}`,
    order: parent === null ? 0 : CHILDREN.get(parent)!.indexOf(number),
    label: null,
    type: children.length > 0 ? 'sequential' : 'simple',
    action: number === 0 ? 'tally_election' : say(`step ${number}`),
    queue: say('mixnet_queue'),
    status,
    is_received: false,
    is_local: false,
    peer: { id: 'peer-2', name: say('Auth2') },
    created_date: minutesAgo(10),
    modified_date: minutesAgo(1),
    children: children.length,
    children_finished: 0,
    children_failed: 0,
    progress: null,
    error: failed ? failure(say, 'Auth2 did not answer') : null,
    why: done || failed ? null : say('waits for Auth2, which shuffles'),
  };
}

export function taskOf(say: Say, id: string, finished: ReadonlySet<string>): Views.TaskView {
  const summary = summaryOf(say, id, finished);
  const ancestors: Views.TaskSummary[] = [];
  for (let above = summary.parent_id; above !== null; ) {
    const next = summaryOf(say, above, finished);
    ancestors.unshift(next);
    above = next.parent_id;
  }
  return {
    ...summary,
    sender_url: say('https://auth1.example'),
    receiver_url: say('https://auth2.example'),
    info_text: say('for information'),
    input: { text: say('an input') },
    output: { text: say('an output') },
    reservation_data: null,
    expiration_date: null,
    attempt: 1,
    quorum: null,
    why_waiting: {
      task_id: id,
      waiting_for: 'peer',
      since: minutesAgo(4),
      tried: { attempts: 1, last_error: say('refused') },
      next: null,
      sentence: say('waits for Auth2, which shuffles'),
    },
    ancestors,
    actions: { retry: no, cancel: yes, finish: no, decide: no },
  };
}

export function timings(say: Say): Views.TimingView[] {
  return Array.from({ length: 12 }, (_, index) => ({
    id: `task-${index}`,
    parent_id: null,
    depth: Math.min(index, 3),
    action: say('shuffle'),
    label: say(`step ${index}`),
    status: 'finished',
    node: say(NAMES[index % 3]!),
    created_date: minutesAgo(12 - index),
    delivered_date: minutesAgo(12 - index),
    ended_date: minutesAgo(11 - index),
  }));
}

// ─── Peers, messages, trail ───

export function peers(say: Say): Views.PeerView[] {
  return NAMES.slice(1).map((name, index) => ({
    id: `peer-${index + 2}`,
    name: say(name),
    url: say(`https://${name.toLowerCase()}.example:5000/api/queues`),
    roles: ['authority'],
    dialect: 'conclave',
    state: index === 0 ? 'up' : 'down',
    added_date: minutesAgo(9_000),
    last_contact: minutesAgo(index * 40),
    down_since: index === 0 ? null : minutesAgo(38),
    next_attempt: null,
    last_error: index === 0 ? null : say('connection refused'),
    clock_difference_ms: 120,
    undelivered: index * 4,
    dead: index,
    certificates: [{ fingerprint: hash(name), not_after: '2028-01-01T00:00:00.000Z' }],
  }));
}

export function preview(say: Say): Views.PeerPreview {
  return {
    name: say('Auth1'),
    url: say('https://auth1.example:5000/api/queues'),
    roles: ['authority'],
    fingerprint: hash('Auth1'),
    not_after: '2028-01-01T00:00:00.000Z',
    known_as: null,
  };
}

export function message(say: Say, sequence: number): Views.MessageView {
  const dead = sequence % 5 === 0;
  return {
    sequence,
    id: `message-${sequence}`,
    is_received: sequence % 2 === 1,
    peer: { id: 'peer-2', name: say('Auth2') },
    queue: say('mixnet_queue'),
    action: say('frestq.update_task'),
    task_id: TREE.wide,
    state: dead ? 'dead' : 'delivered',
    attempts: 2,
    created_date: minutesAgo(sequence),
    settled_date: null,
    error: dead ? failure(say, 'gave up after two days') : null,
    sender_url: say('https://auth1.example'),
    receiver_url: say('https://auth2.example'),
    data: { text: say('what was sent') },
    info_text: null,
    deadline: null,
    next_attempt: minutesAgo(-2),
    output_status: null,
    delivery_attempts: [
      { attempt: 1, date: minutesAgo(9), status: null, error: failure(say, 'connection refused') },
      { attempt: 2, date: minutesAgo(8), status: 503, error: null },
    ],
    resend: dead ? yes : no,
  };
}

export function audit(say: Say): Views.AuditEntryView[] {
  return Array.from({ length: 12 }, (_, index) => ({
    place: index === 0 ? null : { block: 12 - index, entry: 0 },
    date: minutesAgo(index),
    kind: say('approval'),
    summary: say(`Ana accepted the election ${index}`),
    entry: { by: say('Ana') },
  }));
}
