/* Each authority's part of a creation or a tally: its steps, with bars that move. */
import type { AuthorityPart, StepView } from '../../../operator/views.ts';
import { t } from '../catalogue/messages.ts';
import { Chip } from '../components/chip.tsx';
import { Progress } from '../components/progress.tsx';
import { plain, Remote } from '../components/remote.tsx';
import { PartChip, StepChip } from '../components/states.tsx';
import { linkTo } from '../router.ts';

interface PartsProps {
  readonly parts: readonly AuthorityPart[];
  readonly questions: number;
}

export function Parts({ parts, questions }: PartsProps) {
  if (parts.length === 0) return <p class="muted">{t('parts.none')}</p>;
  return (
    <ul class="parts">
      {parts.map((part) => (
        <li key={part.position} class="part">
          <div class="card-head">
            <h3>
              <Remote text={part.name} />
            </h3>
            <PartChip state={part.state} />
          </div>
          {part.is_self && <Chip tone="idle" text={t('authority.self')} />}
          <Progress
            label={t('part.steps')}
            done={part.steps.filter(({ status }) => status === 'done').length}
            total={Math.max(part.steps.length, 2)}
            state={part.state === 'done' ? 'done' : part.state === 'failed' ? 'failed' : 'running'}
          />
          <ol class="part-steps">
            {part.steps.map((step) => (
              <Step key={`${step.step} ${step.question} ${step.task_id}`} step={step} questions={questions} />
            ))}
          </ol>
        </li>
      ))}
    </ul>
  );
}

function Step({ step, questions }: { readonly step: StepView; readonly questions: number }) {
  const name = t(`step.${step.step}`);
  const of =
    questions > 1 && step.question !== null
      ? ` · ${t('question.number', { number: step.question + 1 })}`
      : '';
  const text = `${name}${of}`;
  return (
    <li class="stack stack-tight">
      <div class="card-head">
        {step.task_id === null ? (
          <span class="small">{text}</span>
        ) : (
          <a class="small" href={linkTo(['tasks', step.task_id])}>
            {text}
          </a>
        )}
        <StepChip status={step.status} />
      </div>
      {step.status === 'running' && step.done !== null && step.total !== null && (
        <Progress
          label={step.doing === null ? t('step.doing') : plain(step.doing)}
          done={step.done}
          total={step.total}
        />
      )}
      {step.status === 'running' && step.total === null && step.doing !== null && (
        <p class="small muted">
          <Remote text={step.doing} />
        </p>
      )}
      {step.error !== null && (
        <p class="small text-bad">
          <Remote text={step.error.message} />
        </p>
      )}
    </li>
  );
}
