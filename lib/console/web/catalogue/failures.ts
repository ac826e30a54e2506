/* What went wrong, in the reader's language where the console knows the code, else in the node's words. */
import { t } from './messages.ts';

export function failureText({ code, message }: { readonly code: string; readonly message: string }): string {
  if (code === 'offline') return t('error.offline');
  if (code === 'approval_changed') return t('error.approval_changed');
  if (code === 'already_decided') return t('error.already_decided');
  if (code === 'session_required') return t('error.session_required');
  return message;
}
