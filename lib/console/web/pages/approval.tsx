/* One request: who asks for what, in readable form, the hash to compare, what has changed, and the decision. */
import { useState } from 'preact/hooks';
import type { ApprovalView, TallyDetails } from '../../../operator/views.ts';
import { formatNumber } from '../catalogue/formats.ts';
import { t } from '../catalogue/messages.ts';
import { Facts } from '../components/facts.tsx';
import { HashBox } from '../components/hash.tsx';
import { TextView } from '../components/json-view.tsx';
import { Moment } from '../components/moment.tsx';
import { Arriving, Notice } from '../components/notice.tsx';
import { Page } from '../components/page.tsx';
import { plain, Remote } from '../components/remote.tsx';
import { ApprovalChip } from '../components/states.tsx';
import { useQuery } from '../live/query.ts';
import { Changes } from './approval-changes.tsx';
import { AcceptDialog, DenyDialog } from './approval-decision.tsx';
import { Authorities, ElectionFacts, Questions } from './election-details.tsx';

export function Approval({ id }: { readonly id: string }) {
  const { data, error, refresh } = useQuery(
    'GET /api/approvals/:id',
    { path: { id } },
    ({ type }) => type === 'approvals',
  );
  const name = data === undefined ? t('approvals.title') : plain(data.title);
  return (
    <Page
      title={data === undefined ? t('approvals.title') : <Remote text={data.title} />}
      name={name}
      back={{ href: '/', text: t('approvals.title') }}
      beside={data !== undefined && <ApprovalChip status={data.status} />}
      lead={data !== undefined && <p>{t(`approval.explain.${data.kind}`)}</p>}
    >
      {data === undefined ? (
        <Arriving error={error} onRetry={refresh} />
      ) : (
        <Body approval={data} onDecided={refresh} />
      )}
    </Page>
  );
}

function Body({ approval, onDecided }: { readonly approval: ApprovalView; readonly onDecided: () => void }) {
  const { election, tally } = approval;
  return (
    <div class="columns columns-aside">
      <div class="stack stack-wide">
        <Changes approval={approval} />
        {tally !== null && <TallyFacts tally={tally} />}
        <section class="card" aria-labelledby="asked">
          <h2 id="asked">{t(tally === null ? 'approval.election' : 'approval.election_of_tally')}</h2>
          <ElectionFacts details={election} />
        </section>
        <Questions questions={election.questions} />
        <Authorities authorities={election.authorities} threshold={election.threshold} />
        <details class="card">
          <summary>{t('approval.exact')}</summary>
          <div class="stack">
            <p class="small muted">{t('approval.exact.text')}</p>
            <TextView label={t('approval.hashed_text')} text={approval.hashed_text} />
            <TextView label={t('approval.as_command')} text={approval.text} />
          </div>
        </details>
      </div>
      <Decision approval={approval} onDecided={onDecided} />
    </div>
  );
}

function Decision(props: { readonly approval: ApprovalView; readonly onDecided: () => void }) {
  const { approval, onDecided } = props;
  const [open, setOpen] = useState<'accept' | 'deny' | undefined>();
  const close = () => setOpen(undefined);
  return (
    <aside class="stack stack-wide decision">
      <section class="card" aria-labelledby="decide">
        <h2 id="decide">{t('approval.decide')}</h2>
        <Facts
          columns={1}
          facts={[
            [
              t('approval.asked_by'),
              <>
                <Remote text={approval.asked_by.name} />
                <br />
                <span class="small muted">
                  <Remote text={approval.asked_by.url} />
                </span>
              </>,
            ],
            [t('approval.asked'), <Moment key="asked" date={approval.requested_date} show="both" />],
            [
              t('approval.deadline'),
              approval.deadline === null ? (
                t('approval.no_deadline')
              ) : (
                <Moment key="deadline" date={approval.deadline} show="both" />
              ),
            ],
          ]}
        />
        <Decisions approval={approval} />
        {approval.can_decide.allowed ? (
          <div class="button-row">
            <button type="button" class="button button-primary" onClick={() => setOpen('accept')}>
              {t('approval.accept')}
            </button>
            <button type="button" class="button button-danger" onClick={() => setOpen('deny')}>
              {t('approval.deny')}
            </button>
          </div>
        ) : (
          approval.can_decide.reason !== null && (
            <Notice tone="idle">
              <p>
                <Remote text={approval.can_decide.reason} />
              </p>
            </Notice>
          )
        )}
      </section>
      <section class="card" aria-labelledby="hash">
        <h2 id="hash">{t('approval.compare')}</h2>
        <p class="small">{t('approval.compare.text')}</p>
        <HashBox hash={approval.hash} />
      </section>
      {open === 'accept' && <AcceptDialog approval={approval} onDecided={onDecided} onClose={close} />}
      {open === 'deny' && <DenyDialog approval={approval} onDecided={onDecided} onClose={close} />}
    </aside>
  );
}

/** Who has decided so far, and who is still awaited. */
function Decisions({ approval }: { readonly approval: ApprovalView }) {
  const { decisions, operators_required: needed, status } = approval;
  return (
    <>
      {needed > 1 && status === 'waiting' && (
        <Notice tone="attention">
          <p>{t('approval.second', { given: decisions.length, needed })}</p>
        </Notice>
      )}
      {decisions.length > 0 && (
        <ul class="card-list">
          {decisions.map((decision) => (
            <li key={`${decision.operator} ${decision.date}`} class="small">
              <strong>
                <Remote text={decision.operator} />
              </strong>{' '}
              {t(`decision.${decision.decision}`)}, <Moment date={decision.date} show="both" />
              {decision.reason !== null && (
                <blockquote class="quote">
                  <Remote text={decision.reason} lines />
                </blockquote>
              )}
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

function TallyFacts({ tally }: { readonly tally: TallyDetails }) {
  const reasons = Object.entries(tally.ballots.refused_by_reason);
  return (
    <section class="card" aria-labelledby="tally">
      <h2 id="tally">{t('approval.tally')}</h2>
      {tally.force && (
        <Notice tone="attention">
          <p>{t('approval.force')}</p>
        </Notice>
      )}
      <Facts
        facts={[
          [t('ballots.accepted'), <strong key="accepted">{formatNumber(tally.ballots.accepted)}</strong>],
          [
            t('ballots.refused'),
            <>
              {formatNumber(tally.ballots.refused)}
              {reasons.length > 0 && (
                <ul class="plain small">
                  {reasons.map(([reason, count]) => (
                    <li key={reason}>
                      <Remote text={reason} />: {formatNumber(count)}
                    </li>
                  ))}
                </ul>
              )}
            </>,
          ],
          [t('tally.votes_url'), <Remote key="url" text={tally.votes_url} />],
          [
            t('tally.votes_hash'),
            <code key="hash">
              <Remote text={tally.votes_hash} />
            </code>,
          ],
          [
            t('ballots.accepted_hash'),
            <code key="accepted" class="break">
              {tally.ballots.accepted_hash}
            </code>,
          ],
          [t('election.callback'), <Remote key="callback" text={tally.callback_url} />],
        ]}
      />
    </section>
  );
}
