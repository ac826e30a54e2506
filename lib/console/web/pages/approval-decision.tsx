/* The two dialogs of a decision: to accept is to confirm that one has compared; to deny is to say why. */
import { useState } from 'preact/hooks';
import type { ApprovalView } from '../../../operator/views.ts';
import { t } from '../catalogue/messages.ts';
import { Dialog } from '../components/dialog.tsx';
import { Check, TextArea } from '../components/fields.tsx';
import { HashGroups, HashWords } from '../components/hash.tsx';
import { plain } from '../components/remote.tsx';
import { request } from '../live/api.ts';

const MAX_REASON = 4096;

interface DecisionProps {
  readonly approval: ApprovalView;
  readonly onDecided: () => void;
  readonly onClose: () => void;
}

export function AcceptDialog({ approval, onDecided, onClose }: DecisionProps) {
  const [compared, setCompared] = useState(false);
  const accept = async (): Promise<void> => {
    const body = { decision: 'accept', hash: approval.hash.hex } as const;
    await request('POST /api/approvals/:id/decision', { path: { id: approval.id }, body });
    onDecided();
  };
  return (
    <Dialog
      title={t(`accept.title.${approval.kind}`)}
      action={t('accept.confirm')}
      done={t('accept.done')}
      ready={compared}
      onConfirm={accept}
      onClose={onClose}
    >
      <p>{t(`accept.text.${approval.kind}`, { title: plain(approval.title) })}</p>
      <HashWords words={approval.hash.words} />
      <HashGroups hex={approval.hash.hex} />
      <Check label={t('accept.compared')} checked={compared} onChange={setCompared} />
      <p class="small muted">{t('decision.recorded')}</p>
    </Dialog>
  );
}

export function DenyDialog({ approval, onDecided, onClose }: DecisionProps) {
  const [reason, setReason] = useState('');
  const deny = async (): Promise<void> => {
    const body = { decision: 'deny', hash: approval.hash.hex, reason: reason.trim() } as const;
    await request('POST /api/approvals/:id/decision', { path: { id: approval.id }, body });
    onDecided();
  };
  return (
    <Dialog
      title={t(`deny.title.${approval.kind}`)}
      action={t('deny.confirm')}
      tone="danger"
      done={t('deny.done')}
      ready={reason.trim() !== ''}
      onConfirm={deny}
      onClose={onClose}
    >
      <p>{t('deny.text', { title: plain(approval.title) })}</p>
      <TextArea
        label={t('deny.reason')}
        hint={t('deny.reason.hint')}
        value={reason}
        maxLength={MAX_REASON}
        required
        onChange={setReason}
      />
      <p class="small muted">{t('decision.recorded')}</p>
    </Dialog>
  );
}
