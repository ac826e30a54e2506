/**
 * What operators see, in the form in which it leaves the node: the answers of the console's API and the `--json` of
 * commands. Names are snake_case as in the public API; dates are ISO 8601 texts in UTC; ids are opaque texts.
 *
 * Types only, nothing of Node: the browser's code imports them. Texts may come from strangers: show them as text.
 */
import type { Json } from '../json.ts';

/** One page of a list. `next` goes into `after` of the request for the following page; null: this was the last. */
export interface Page<Item> {
  readonly items: readonly Item[];
  readonly next: string | null;
}

/** A SHA-256 in the forms in which people compare it. */
export interface HashView {
  /** 64 lower-case hex digits. */
  readonly hex: string;
  /** All 32 bytes as words of the PGP list, to be read over the telephone; fewer would let a forger search for a twin. */
  readonly words: readonly string[];
}

export interface FailureView {
  readonly code: string;
  readonly message: string;
  /** Name of the node where it happened. */
  readonly node: string | null;
  readonly data: Json;
}

// ─── Approvals ───

export type ApprovalKind = 'election' | 'tally';

/** One operator's word on one approval. */
export interface DecisionView {
  readonly operator: string;
  readonly decision: 'accept' | 'deny';
  readonly reason: string | null;
  readonly date: string;
}

export interface ApprovalSummary {
  /** Id of the external task. */
  readonly id: string;
  readonly kind: ApprovalKind;
  readonly election_id: string;
  readonly title: string;
  /** The director that asks. */
  readonly asked_by: { readonly name: string; readonly url: string };
  readonly requested_date: string;
  /** When the request ends by itself; null: it waits for as long as it takes. */
  readonly deadline: string | null;
  /** The same on every authority's screen, if and only if they are asked the same. */
  readonly hash: HashView;
  /** How many different operators must accept; 1 or 2. One denial suffices. */
  readonly operators_required: number;
  /** Those who have accepted so far, while one more is awaited. */
  readonly decisions: readonly DecisionView[];
  readonly status: 'waiting' | 'accepted' | 'denied' | 'ended';
}

export interface AuthorityIdentity {
  /** From 1, as in the proofs. */
  readonly position: number;
  readonly name: string;
  readonly url: string;
  readonly certificate: HashView;
  /** Until when the certificate is valid. */
  readonly not_after: string;
  /** This node. */
  readonly is_self: boolean;
  /** The name under which this node knows the certificate; null: it is none of its peers. */
  readonly peer_name: string | null;
}

export interface AnswerView {
  readonly id: number;
  readonly text: string;
  readonly is_write_in: boolean;
  readonly urls: readonly { readonly title: string; readonly url: string }[];
  readonly category: string | null;
  readonly details: string | null;
}

export interface QuestionView {
  readonly title: string;
  readonly description: string | null;
  readonly tally_type: string;
  /** How many answers a ballot names; a minimum of 0 allows a blank one. */
  readonly min: number;
  readonly max: number;
  readonly num_winners: number;
  readonly answers: readonly AnswerView[];
}

/** The request of an election, readable. */
export interface ElectionDetails {
  readonly id: string;
  readonly title: string;
  readonly description: string;
  readonly url: string;
  readonly callback_url: string;
  /** As the request has them; null: not given. */
  readonly start_date: string | null;
  readonly end_date: string | null;
  readonly group: string;
  readonly threshold: number;
  readonly authorities: readonly AuthorityIdentity[];
  readonly questions: readonly QuestionView[];
  /** Whatever else is in the request and therefore in the hash. */
  readonly other: Readonly<Record<string, Json>>;
  readonly request_hash: HashView;
}

/** The request of a tally, and what this authority itself has found in the votes. */
export interface TallyDetails {
  readonly callback_url: string;
  readonly votes_url: string;
  /** `ni:///sha-256;…` */
  readonly votes_hash: string;
  /** Tally again although there is a tally. */
  readonly force: boolean;
  readonly ballots: {
    readonly accepted: number;
    readonly refused: number;
    readonly refused_by_reason: Readonly<Record<string, number>>;
    /** SHA-256 (hex) of the list of accepted ballots. */
    readonly accepted_hash: string;
  };
}

export interface ChangeView {
  /** Where, for example `questions/0/answers/2/text`. */
  readonly path: string;
  readonly change: 'added' | 'removed' | 'changed';
  /** JSON values; null also where there was nothing: see `change`. */
  readonly before: Json;
  readonly after: Json;
}

export interface ApprovalView extends ApprovalSummary {
  /** Of a tally as well: the election that is tallied. */
  readonly election: ElectionDetails;
  readonly tally: TallyDetails | null;
  /** Exactly the text of which `hash` is the SHA-256: canonical JSON, in UTF-8. */
  readonly hashed_text: string;
  /** The same as plain text, every invisible character shown: what the command line prints. */
  readonly text: string;
  /** The last request of the same kind for the same election that was shown here; null: this is the first. */
  readonly previous: {
    readonly id: string;
    readonly requested_date: string;
    readonly hash: HashView;
    readonly status: ApprovalSummary['status'];
    readonly reason: string | null;
  } | null;
  /** What differs from `previous`; empty: nothing does, or there is none. */
  readonly changes: readonly ChangeView[];
  /** Whether the operator who asks may decide, and if not, why: `you have accepted already`. */
  readonly can_decide: Permission;
}

export interface Decided {
  readonly id: string;
  /** `waiting`: a second operator is awaited. */
  readonly status: 'waiting' | 'accepted' | 'denied';
  readonly decisions: readonly DecisionView[];
}

// ─── Elections ───

export type ElectionStatus = 'requested' | 'approved' | 'denied' | 'created' | 'failed';
export type TallyStatus = 'requested' | 'approved' | 'denied' | 'mixing' | 'published' | 'failed' | 'reset';

export interface ElectionSummary {
  readonly id: string;
  readonly title: string;
  readonly status: ElectionStatus;
  readonly reason: string | null;
  readonly is_director: boolean;
  readonly questions: number;
  readonly authorities: number;
  readonly threshold: number;
  readonly created_date: string;
  readonly modified_date: string;
  /** Of the latest tally; null: none was asked for. */
  readonly tally_status: TallyStatus | null;
  /** An approval of this election waits here. */
  readonly approval_waiting: boolean;
}

export type StepName =
  | 'approval'
  | 'keys'
  | 'confirmation'
  | 'ballots'
  | 'shuffle'
  | 'verification'
  | 'decryption'
  | 'publication'
  | 'comparison';

/** One step of one authority. What another authority does is known as far as its tasks are seen from here. */
export interface StepView {
  readonly step: StepName;
  /** Index of the question from 0; null: of the election as a whole. */
  readonly question: number | null;
  readonly status: 'waiting' | 'running' | 'done' | 'failed';
  /** What it does at the moment, in the node's words: `checking ballots`; null: nothing was said. */
  readonly doing: string | null;
  /** Bars: `done` of `total`; null where it is not known. */
  readonly done: number | null;
  readonly total: number | null;
  readonly task_id: string | null;
  readonly error: FailureView | null;
  readonly modified_date: string;
}

export interface AuthorityPart extends AuthorityIdentity {
  readonly state: 'waiting' | 'working' | 'done' | 'failed' | 'left_out';
  /** In the order in which they happen. */
  readonly steps: readonly StepView[];
}

export interface SessionView {
  readonly session_id: string;
  /** Index of the question, from 0. */
  readonly question: number;
  /** What all authorities compare: hash of the joint key with the polynomial; null: there is none yet. */
  readonly key_hash: HashView | null;
  /** As published: `{group, …}`. */
  readonly public_key: Json;
  /** This authority's share of the key. */
  readonly share: 'none' | 'held' | 'deleted';
}

export interface DownloadView {
  readonly name: string;
  /** Path on the console's server. */
  readonly url: string;
  readonly size: number;
  /** Lower-case hex. */
  readonly sha256: string;
}

export interface ResultCandidate {
  readonly text: string;
  readonly is_write_in: boolean;
  readonly points: number;
  /** Place among the winners, from 1; null: no winner. */
  readonly place: number | null;
}

export interface QuestionResultView {
  readonly title: string;
  readonly tally_type: string;
  readonly num_winners: number;
  /** False: a ranking that other programs count; points are the times that somebody stands first. */
  readonly counted: boolean;
  readonly totals: {
    readonly total_votes: number;
    readonly valid_votes: number;
    readonly blank_votes: number;
    readonly null_votes: number;
  };
  /** By points, then as on the ballot. */
  readonly candidates: readonly ResultCandidate[];
  /** Seats that a tie leaves open, and the texts of those among whom they are to be filled. */
  readonly tie: { readonly seats: number; readonly candidates: readonly string[] } | null;
}

export interface TallyView {
  readonly tally_id: string;
  readonly status: TallyStatus;
  readonly reason: string | null;
  readonly votes_hash: string;
  /** `ni:///sha-256;…` of the published archive. */
  readonly tally_hash: string | null;
  readonly created_date: string;
  readonly modified_date: string;
  readonly authorities: readonly AuthorityPart[];
  /** Of the published tally; null before, and of an older one that another took the place of. */
  readonly results: readonly QuestionResultView[] | null;
  readonly downloads: readonly DownloadView[];
  readonly verification: VerificationView | null;
}

export interface ElectionView extends ElectionSummary {
  readonly details: ElectionDetails;
  readonly sessions: readonly SessionView[];
  /** How far the creation is. */
  readonly creation: readonly AuthorityPart[];
  /** Newest first. */
  readonly tallies: readonly TallyView[];
  /** The trees of this election on this node, newest first. */
  readonly trees: readonly TaskSummary[];
  readonly downloads: readonly DownloadView[];
}

/** The node's own verifier on the published tally. */
export interface VerificationView {
  readonly id: string;
  readonly election_id: string;
  readonly tally_id: string;
  readonly state: 'running' | 'valid' | 'invalid' | 'failed';
  readonly started_date: string;
  readonly ended_date: string | null;
  readonly steps: readonly {
    readonly id: string;
    readonly title: string;
    readonly ok: boolean;
    readonly detail: string | null;
  }[];
  /** Why it could not be done, when `failed`. */
  readonly reason: string | null;
}

// ─── Tasks ───

export type TaskType = 'simple' | 'sequential' | 'parallel' | 'synchronized' | 'external';
export type TaskStatus =
  | 'created'
  | 'sent'
  | 'syncing'
  | 'reserved'
  | 'confirmed'
  | 'executing'
  | 'finished'
  | 'error';

export interface TaskSummary {
  readonly id: string;
  readonly root_id: string;
  readonly parent_id: string | null;
  /** Among its siblings, from 0. */
  readonly order: number;
  readonly label: string | null;
  readonly type: TaskType;
  readonly action: string;
  readonly queue: string;
  readonly status: TaskStatus;
  /** Executed here for a peer. */
  readonly is_received: boolean;
  /** Stays on this node; else the other end is `peer`. */
  readonly is_local: boolean;
  readonly peer: { readonly id: string; readonly name: string } | null;
  readonly created_date: string;
  readonly modified_date: string;
  readonly children: number;
  readonly children_finished: number;
  readonly children_failed: number;
  readonly progress: { readonly step: string | null; readonly done: number; readonly total: number } | null;
  readonly error: FailureView | null;
  /** Whom it waits for, in a sentence; null for tasks that have ended, and where it was not asked for. */
  readonly why: string | null;
}

export interface WhyView {
  readonly task_id: string;
  readonly waiting_for: string;
  readonly since: string;
  readonly tried: { readonly attempts: number; readonly last_error: string | null };
  readonly next: string | null;
  readonly sentence: string;
}

/** `reason` says why not. */
export interface Permission {
  readonly allowed: boolean;
  readonly reason: string | null;
}

export interface TaskView extends TaskSummary {
  readonly sender_url: string;
  readonly receiver_url: string;
  readonly info_text: string | null;
  readonly input: Json;
  readonly output: Json;
  readonly reservation_data: Json;
  readonly expiration_date: string | null;
  readonly attempt: number;
  readonly quorum: number | null;
  readonly why_waiting: WhyView;
  /** From the root to the parent. */
  readonly ancestors: readonly Pick<TaskSummary, 'id' | 'action' | 'label' | 'type'>[];
  readonly actions: {
    readonly retry: Permission;
    readonly cancel: Permission;
    readonly finish: Permission;
    /** It is an approval: decide on it as such. */
    readonly decide: Permission;
  };
}

/** One bar of the waterfall. A date is null while, or where, nothing is known of it. */
export interface TimingView {
  readonly id: string;
  readonly parent_id: string | null;
  readonly depth: number;
  readonly action: string;
  readonly label: string | null;
  readonly status: TaskStatus;
  /** Name of the node that executes it. */
  readonly node: string;
  readonly created_date: string;
  /** Its message reached the other end. */
  readonly delivered_date: string | null;
  readonly ended_date: string | null;
}

// ─── Peers ───

export type PeerRole = 'authority' | 'client' | 'operator';

export interface CertificateView {
  readonly fingerprint: HashView;
  readonly not_after: string;
}

export interface PeerView {
  readonly id: string;
  readonly name: string;
  /** Null: it only calls this node. */
  readonly url: string | null;
  readonly roles: readonly PeerRole[];
  readonly dialect: 'unknown' | 'conclave' | 'frestq';
  readonly state: 'up' | 'down' | 'not_tried' | 'calls_only';
  readonly added_date: string;
  readonly last_contact: string | null;
  readonly down_since: string | null;
  readonly next_attempt: string | null;
  readonly last_error: string | null;
  /** Its clock minus ours, in milliseconds, when it was last measured (by a check); null: never. */
  readonly clock_difference_ms: number | null;
  readonly undelivered: number;
  readonly dead: number;
  /** Two while it rotates, the newer one last. */
  readonly certificates: readonly CertificateView[];
}

export interface PeerCheckView {
  readonly id: string;
  readonly date: string;
  readonly reachable: boolean;
  readonly milliseconds: number | null;
  readonly clock_difference_ms: number | null;
  /** What is wrong, and at which end; null: nothing. */
  readonly problem: string | null;
}

/** What a peer file or certificate says, before anybody trusts it. */
export interface PeerPreview {
  readonly name: string | null;
  readonly url: string | null;
  readonly roles: readonly PeerRole[];
  readonly fingerprint: HashView;
  readonly not_after: string;
  /** The peer that has this certificate or this URL already. */
  readonly known_as: string | null;
}

// ─── Messages ───

export type MessageState = 'processed' | 'pending' | 'delivered' | 'dead' | 'withdrawn';

export interface MessageSummary {
  /** Unique on this node, unlike `id`, which a sender chooses. */
  readonly sequence: number;
  readonly id: string;
  readonly is_received: boolean;
  readonly peer: { readonly id: string; readonly name: string | null } | null;
  readonly queue: string;
  readonly action: string;
  readonly task_id: string | null;
  readonly state: MessageState;
  readonly attempts: number;
  readonly created_date: string;
  readonly settled_date: string | null;
  readonly error: FailureView | null;
}

export interface AttemptView {
  /** From 1. */
  readonly attempt: number;
  readonly date: string;
  /** HTTP status; null: there was no answer. */
  readonly status: number | null;
  readonly error: FailureView | null;
}

export interface MessageView extends MessageSummary {
  readonly sender_url: string;
  readonly receiver_url: string;
  readonly data: Json;
  readonly info_text: string | null;
  readonly deadline: string | null;
  readonly next_attempt: string | null;
  readonly output_status: number | null;
  /** Oldest first; the last ones of many. */
  readonly delivery_attempts: readonly AttemptView[];
  readonly resend: Permission;
}

// ─── Audit trail ───

export interface AuditEntryView {
  /** `block/entry` of the sealed trail; null: it is not sealed yet (that takes a moment). */
  readonly place: { readonly block: number; readonly entry: number } | null;
  readonly date: string;
  readonly kind: string;
  /** One line for people. */
  readonly summary: string;
  readonly entry: Json;
}
