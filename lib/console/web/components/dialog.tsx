/* A modal question. The browser's own dialog: it holds the focus, closes on Escape, and gives the focus back. */
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { failureText } from '../catalogue/failures.ts';
import { t } from '../catalogue/messages.ts';
import { asFailure } from '../live/query.ts';
import { announce } from './announcer.tsx';
import { Notice } from './notice.tsx';

interface DialogProps {
  readonly title: string;
  readonly children: ComponentChildren;
  /** The words on the button that does it. */
  readonly action: string;
  readonly tone?: 'primary' | 'danger';
  /** False: the button waits, for example for a tick. */
  readonly ready?: boolean;
  /** What is said when it is done. */
  readonly done: string;
  /** It is a step of several: whoever asked shows the next. */
  readonly stays?: boolean;
  /** What it does; what it throws is shown in the dialog, which stays open. */
  readonly onConfirm: () => Promise<void>;
  readonly onClose: () => void;
}

export function Dialog(props: DialogProps) {
  const {
    title,
    children,
    action,
    tone = 'primary',
    ready = true,
    done,
    stays = false,
    onConfirm,
    onClose,
  } = props;
  const element = useRef<HTMLDialogElement>(null);
  const heading = useId();
  const [working, setWorking] = useState(false);
  const [problem, setProblem] = useState('');

  useEffect(() => element.current?.showModal(), []);

  const confirm = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (working || !ready) return;
    setWorking(true);
    setProblem('');
    try {
      await onConfirm();
      if (stays) return;
      announce(done);
      onClose();
    } catch (error) {
      setProblem(failureText(asFailure(error)));
      setWorking(false);
    }
  };

  return (
    <dialog ref={element} class="dialog" aria-labelledby={heading} onClose={onClose}>
      <form onSubmit={(event) => void confirm(event)}>
        <h2 id={heading}>{title}</h2>
        {children}
        {problem !== '' && (
          <div role="alert">
            <Notice tone="bad">{problem}</Notice>
          </div>
        )}
        <div class="button-row">
          <button type="button" class="button" onClick={() => element.current?.close()}>
            {t('dialog.cancel')}
          </button>
          <button type="submit" class={`button button-${tone}`} disabled={!ready || working}>
            {working ? t('dialog.working') : action}
          </button>
        </div>
      </form>
    </dialog>
  );
}
