/* The node's own verifier on a published tally: one click, and every step that it has checked. */
import { useEffect, useState } from 'preact/hooks';
import type { TallyView, VerificationView } from '../../../operator/views.ts';
import { failureText } from '../catalogue/failures.ts';
import { t } from '../catalogue/messages.ts';
import { announce } from '../components/announcer.tsx';
import { Icon } from '../components/icon.tsx';
import { Moment } from '../components/moment.tsx';
import { Notice } from '../components/notice.tsx';
import { Remote } from '../components/remote.tsx';
import { VerificationChip } from '../components/states.tsx';
import { request } from '../live/api.ts';
import { onLiveEvent } from '../live/connection.ts';
import { asFailure } from '../live/query.ts';

interface VerificationProps {
  readonly electionId: string;
  readonly tally: TallyView;
}

export function Verification({ electionId, tally }: VerificationProps) {
  const [heard, setHeard] = useState<VerificationView>();
  const [problem, setProblem] = useState('');
  const tallyId = tally.tally_id;
  useEffect(
    () =>
      onLiveEvent(({ type, data }) => {
        if (type !== 'verification' || data.election_id !== electionId || data.tally_id !== tallyId) return;
        setHeard(data);
        if (data.state !== 'running') announce(t(`verification.state.${data.state}`));
      }),
    [electionId, tallyId],
  );
  const verification = newest(heard, tally.verification);
  const begin = async (): Promise<void> => {
    setProblem('');
    try {
      setHeard(
        await request('POST /api/elections/:id/tallies/:tally/verification', {
          path: { id: electionId, tally: tallyId },
        }),
      );
    } catch (error) {
      setProblem(failureText(asFailure(error)));
    }
  };
  const running = verification?.state === 'running';
  return (
    <div class="stack verification">
      <div class="card-head">
        <div class="row">
          <h3>{t('verification.title')}</h3>
          {verification !== undefined && <VerificationChip state={verification.state} />}
        </div>
        <button type="button" class="button button-primary" disabled={running} onClick={() => void begin()}>
          {t(
            running
              ? 'verification.running'
              : verification === undefined
                ? 'verification.begin'
                : 'verification.again',
          )}
        </button>
      </div>
      <p class="small muted">{t('verification.text')}</p>
      {problem !== '' && <Notice tone="bad">{problem}</Notice>}
      {verification !== undefined && <Report verification={verification} />}
    </div>
  );
}

function newest(
  heard: VerificationView | undefined,
  given: VerificationView | null,
): VerificationView | undefined {
  if (heard === undefined || given === null) return heard ?? given ?? undefined;
  if (heard.id !== given.id) return heard.started_date >= given.started_date ? heard : given;
  return given.state === 'running' && heard.steps.length >= given.steps.length ? heard : given;
}

function Report({ verification }: { readonly verification: VerificationView }) {
  const { steps, state, reason, ended_date } = verification;
  return (
    <>
      {state === 'valid' && (
        <Notice tone="good">
          <p>{t('verification.valid')}</p>
        </Notice>
      )}
      {state === 'invalid' && (
        <Notice tone="bad">
          <p>{t('verification.invalid')}</p>
        </Notice>
      )}
      {reason !== null && (
        <Notice tone="attention">
          <p>
            <Remote text={reason} />
          </p>
        </Notice>
      )}
      <details open={state !== 'valid'}>
        <summary>{t('verification.steps', { count: steps.length })}</summary>
        <ol class="steps">
          {steps.map((step) => (
            <li key={step.id}>
              <span class={step.ok ? 'text-good' : 'text-bad'}>
                <Icon name={step.ok ? 'good' : 'bad'} />
                <span class="visually-hidden">
                  {t(step.ok ? 'verification.step.good' : 'verification.step.bad')}
                </span>
              </span>
              <span>
                <Remote text={step.title} />
                {step.detail !== null && (
                  <span class="small muted">
                    {' – '}
                    <Remote text={step.detail} />
                  </span>
                )}
              </span>
            </li>
          ))}
        </ol>
      </details>
      {ended_date !== null && (
        <p class="small muted">
          {t('verification.ended')} <Moment date={ended_date} show="both" />
        </p>
      )}
    </>
  );
}
