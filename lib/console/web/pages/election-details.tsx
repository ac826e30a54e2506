/* The request of an election, readable: facts, questions with their answers, authorities with their certificates. */
import type { AuthorityIdentity, ElectionDetails, QuestionView } from '../../../operator/views.ts';
import { formatNumber } from '../catalogue/formats.ts';
import { t } from '../catalogue/messages.ts';
import { Chip } from '../components/chip.tsx';
import { Facts } from '../components/facts.tsx';
import { Fingerprint, HashWords } from '../components/hash.tsx';
import { JsonView } from '../components/json-view.tsx';
import { Moment } from '../components/moment.tsx';
import { Notice } from '../components/notice.tsx';
import { Remote } from '../components/remote.tsx';

export function ElectionFacts({ details }: { readonly details: ElectionDetails }) {
  const given = (date: string | null) => (date === null ? t('election.not_given') : <Remote text={date} />);
  return (
    <>
      {details.description !== '' && (
        <p>
          <Remote text={details.description} lines />
        </p>
      )}
      <Facts
        facts={[
          [t('election.number'), <Remote key="id" text={details.id} />],
          [
            t('election.url'),
            <Remote key="url" text={details.url === '' ? t('election.not_given') : details.url} />,
          ],
          [t('election.start'), given(details.start_date)],
          [t('election.end'), given(details.end_date)],
          [
            t('election.threshold'),
            t('election.threshold.of', { needed: details.threshold, count: details.authorities.length }),
          ],
          [t('election.group'), <code key="group">{details.group}</code>],
          [t('election.callback'), <Remote key="callback" text={details.callback_url} />],
        ]}
      />
      {Object.keys(details.other).length > 0 && (
        <JsonView label={t('election.other')} value={details.other} />
      )}
    </>
  );
}

export function Questions({ questions }: { readonly questions: readonly QuestionView[] }) {
  return (
    <section class="card" aria-labelledby="questions">
      <h2 id="questions">{t('questions.title', { count: questions.length })}</h2>
      <ol class="questions">
        {questions.map((question, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a question is its place
          <li key={index} class="stack stack-tight">
            <h3>
              <Remote text={question.title} />
            </h3>
            {question.description !== null && question.description !== '' && (
              <p class="small">
                <Remote text={question.description} lines />
              </p>
            )}
            <p class="small muted">
              {question.min === question.max
                ? t('question.choose', { count: question.max })
                : t('question.choose.range', { min: question.min, max: question.max })}
              {' · '}
              {t('question.winners', { count: question.num_winners })}
              {' · '}
              <Remote text={question.tally_type} />
            </p>
            <ul class="answers">
              {question.answers.map((answer) => (
                <li key={answer.id}>
                  <Remote text={answer.text} />
                  {answer.is_write_in && <span class="small muted"> ({t('answer.write_in')})</span>}
                  {answer.category !== null && (
                    <span class="small muted">
                      {' · '}
                      <Remote text={answer.category} />
                    </span>
                  )}
                  {answer.details !== null && (
                    <div class="small muted">
                      <Remote text={answer.details} lines />
                    </div>
                  )}
                  {answer.urls.map(({ title, url }) => (
                    <div key={`${title} ${url}`} class="small muted">
                      <Remote text={title} />: <Remote text={url} />
                    </div>
                  ))}
                </li>
              ))}
            </ul>
          </li>
        ))}
      </ol>
    </section>
  );
}

interface AuthoritiesProps {
  readonly authorities: readonly AuthorityIdentity[];
  readonly threshold: number;
}

export function Authorities({ authorities, threshold }: AuthoritiesProps) {
  return (
    <section class="card" aria-labelledby="authorities">
      <h2 id="authorities">{t('authorities.title', { count: authorities.length })}</h2>
      <p class="small muted">
        {t('authorities.text', { count: threshold, needed: formatNumber(threshold) })}
      </p>
      <ul class="card-list authorities">
        {authorities.map((authority) => (
          <li key={authority.position} class="stack stack-tight">
            <div class="row">
              <h3>
                <Remote text={authority.name} />
              </h3>
              {authority.is_self && <Chip tone="idle" text={t('authority.self')} />}
              {!authority.is_self && authority.peer_name !== null && (
                <Chip tone="good" text={t('authority.pinned')} />
              )}
            </div>
            {!authority.is_self && authority.peer_name === null && (
              <Notice tone="bad">
                <p>{t('authority.unknown')}</p>
              </Notice>
            )}
            {!authority.is_self && authority.peer_name !== null && authority.peer_name !== authority.name && (
              <p class="small">
                {t('authority.known_as')} <Remote text={authority.peer_name} />
              </p>
            )}
            <p class="small muted">
              <Remote text={authority.url} />
            </p>
            <p class="small">
              {t('certificate.fingerprint')}: <Fingerprint hex={authority.certificate.hex} />
            </p>
            <p class="small muted">
              {t('certificate.expires')} <Moment date={authority.not_after} show="date" />
            </p>
            <details class="small">
              <summary>{t('hash.as_words')}</summary>
              <HashWords words={authority.certificate.words} />
            </details>
          </li>
        ))}
      </ul>
    </section>
  );
}
