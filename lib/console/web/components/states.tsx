/* Every state that the console shows, as a chip: which tone and which word. */
import type {
  ApprovalSummary,
  AuthorityPart,
  ElectionStatus,
  MessageState,
  PeerView,
  StepView,
  TallyStatus,
  TaskSummary,
  VerificationView,
} from '../../../operator/views.ts';
import { type MessageKey, t } from '../catalogue/messages.ts';
import { Chip, type Tone } from './chip.tsx';

type Tones<State extends string> = Readonly<Record<State, Tone>>;

const TASK: Tones<TaskSummary['status']> = {
  created: 'idle',
  sent: 'busy',
  syncing: 'busy',
  reserved: 'busy',
  confirmed: 'busy',
  executing: 'busy',
  finished: 'good',
  error: 'bad',
};

export function TaskChip({ task }: { readonly task: Pick<TaskSummary, 'status' | 'type'> }) {
  if (task.type === 'external' && task.status === 'executing')
    return <Chip tone="attention" text={t('task.status.deciding')} />;
  return <Chip tone={TASK[task.status]} text={t(`task.status.${task.status}`)} />;
}

const APPROVAL: Tones<ApprovalSummary['status']> = {
  waiting: 'attention',
  accepted: 'good',
  denied: 'bad',
  ended: 'idle',
};

export function ApprovalChip({ status }: { readonly status: ApprovalSummary['status'] }) {
  return <Chip tone={APPROVAL[status]} text={t(`approval.status.${status}`)} />;
}

const ELECTION: Tones<ElectionStatus> = {
  requested: 'attention',
  approved: 'busy',
  denied: 'bad',
  created: 'good',
  failed: 'bad',
};

export function ElectionChip({ status }: { readonly status: ElectionStatus }) {
  return <Chip tone={ELECTION[status]} text={t(`election.status.${status}`)} />;
}

const TALLY: Tones<TallyStatus> = {
  requested: 'attention',
  approved: 'busy',
  denied: 'bad',
  mixing: 'busy',
  published: 'good',
  failed: 'bad',
  reset: 'idle',
};

export function TallyChip({ status }: { readonly status: TallyStatus }) {
  return <Chip tone={TALLY[status]} text={t(`tally.status.${status}`)} />;
}

const PART: Tones<AuthorityPart['state']> = {
  waiting: 'idle',
  working: 'busy',
  done: 'good',
  failed: 'bad',
  left_out: 'attention',
};

export function PartChip({ state }: { readonly state: AuthorityPart['state'] }) {
  return <Chip tone={PART[state]} text={t(`part.${state}`)} />;
}

const STEP: Tones<StepView['status']> = { waiting: 'idle', running: 'busy', done: 'good', failed: 'bad' };

export function StepChip({ status }: { readonly status: StepView['status'] }) {
  return <Chip tone={STEP[status]} text={t(`step.status.${status}`)} />;
}

const PEER: Tones<PeerView['state']> = { up: 'good', down: 'bad', not_tried: 'idle', calls_only: 'idle' };

export function PeerChip({ state }: { readonly state: PeerView['state'] }) {
  return <Chip tone={PEER[state]} text={t(`peer.state.${state}`)} />;
}

const MESSAGE: Tones<MessageState> = {
  processed: 'good',
  pending: 'attention',
  delivered: 'good',
  dead: 'bad',
  withdrawn: 'idle',
};

export function MessageChip({ state }: { readonly state: MessageState }) {
  return <Chip tone={MESSAGE[state]} text={t(`message.state.${state}`)} />;
}

const VERIFICATION: Tones<VerificationView['state']> = {
  running: 'busy',
  valid: 'good',
  invalid: 'bad',
  failed: 'attention',
};

export function VerificationChip({ state }: { readonly state: VerificationView['state'] }) {
  return <Chip tone={VERIFICATION[state]} text={t(`verification.state.${state}`)} />;
}

const KNOWN_ACTIONS = [
  'create_election',
  'tally_election',
  'generate_private_info',
  'generate_public_key',
  'confirm_public_key',
  'compare_public_key',
  'compare_hashes',
  'judge_complaints',
  'finish_election',
  'publish_election',
  'return_election',
  'review_tally',
  'check_tally_approval',
  'perform_tally',
  'mix_session',
  'mix_tally',
  'shuffle',
  'verify_shuffle',
  'decryption_factors',
  'decryption_commitment',
  'decryption_reply',
  'verify_and_publish_tally',
  'publish_tally',
  'compare_tally',
  'return_tally',
  'judge_publication',
  'send_callback',
  'approve_election',
  'approve_election_tally',
] as const;

const KNOWN = new Map<string, MessageKey>(KNOWN_ACTIONS.map((action) => [action, `action.${action}`]));

/** What a task does, in words: those of the workflows by name, others as they are called. */
export function taskName({ action, label, type }: Pick<TaskSummary, 'action' | 'label' | 'type'>): string {
  const key = KNOWN.get(action) ?? (type === 'external' ? KNOWN.get(label ?? '') : undefined);
  if (key !== undefined) return t(key);
  if (action === 'frestq.virtual_empty_task') return label ?? t(`task.type.${type}`);
  return label === null ? action : `${action} · ${label}`;
}
