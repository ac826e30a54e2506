/**
 * What a verification of logs finds, by name (D24): each finding says what is wrong, in whose log, and where. Pure.
 */

/** Codes and what they mean; `docs/audit-trail.md` says more. */
export const FINDINGS = {
  removed_block: 'a block is missing',
  inserted_block: 'a block is there that does not belong there',
  reordered_block: 'a block is not in its place',
  edited_block: 'a block is not as it was sealed',
  removed_entry: 'an entry of a block is missing',
  inserted_entry: 'a block has an entry that was not sealed with it',
  reordered_entry: 'entries of a block are not in their order',
  edited_entry: 'an entry is not as it was sealed',
  bad_signature: 'a signature is not of the key that it should be of',
  unknown_certificate: 'it is signed with a certificate that is not pinned for this node',
  wrong_node: 'it is not of the node that it claims to be of',
  forked: 'a node has signed two different logs',
  truncated: 'the end of a log is missing',
  edited_export: 'an export is not as it was made',
  message_differs: 'a message is not the one of its entry',
  sent_never_received: 'a message was acknowledged, says its sender; its receiver has not received it',
  received_never_sent: 'a message was received, says its receiver; its sender has not sent it',
  contents_differ: 'a message says one thing in the log of its sender, another in that of its receiver',
} as const;
export type FindingCode = keyof typeof FINDINGS;

export interface Finding {
  readonly code: FindingCode;
  /** Which log: the name of its file, or `own database`. */
  readonly log: string;
  /** What exactly, in a sentence. */
  readonly text: string;
  readonly block?: number;
  /** Position in the block, from 0. */
  readonly entry?: number;
  /** Id of a message. */
  readonly message?: string;
}

/** What is no fault, and limits what the verification can say. */
export interface Note {
  readonly log: string;
  readonly text: string;
}

const MOST_FINDINGS = 1000;

/** Keeps the first thousand, and counts all: a rewritten log has a finding a block. */
export class Findings {
  readonly kept: Finding[] = [];
  readonly notes: Note[] = [];
  count = 0;

  add(finding: Finding): void {
    this.count += 1;
    if (this.kept.length < MOST_FINDINGS) this.kept.push(finding);
  }

  note(log: string, text: string): void {
    if (this.notes.length < MOST_FINDINGS && !this.notes.some((one) => one.log === log && one.text === text))
      this.notes.push({ log, text });
  }
}
