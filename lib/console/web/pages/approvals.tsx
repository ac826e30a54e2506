/* Waiting for you: what this authority is asked, oldest first. */
import type { ApprovalSummary } from '../../../operator/views.ts';
import { t } from '../catalogue/messages.ts';
import { Icon } from '../components/icon.tsx';
import { Moment } from '../components/moment.tsx';
import { Arriving, Empty } from '../components/notice.tsx';
import { Page } from '../components/page.tsx';
import { Remote } from '../components/remote.tsx';
import { ApprovalChip } from '../components/states.tsx';
import { useQuery } from '../live/query.ts';
import { linkTo } from '../router.ts';

export function Approvals() {
  const { data, error, refresh } = useQuery('GET /api/approvals', {}, ({ type }) => type === 'approvals');
  return (
    <Page title={t('approvals.title')} name={t('approvals.title')} lead={<p>{t('approvals.lead')}</p>}>
      {data === undefined ? (
        <Arriving error={error} onRetry={refresh} />
      ) : data.items.length === 0 ? (
        <Empty icon="good" title={t('approvals.none')} text={t('approvals.none.text')} />
      ) : (
        <ul class="card-list">
          {data.items.map((approval) => (
            <li key={approval.id}>
              <Request approval={approval} />
            </li>
          ))}
        </ul>
      )}
    </Page>
  );
}

function Request({ approval }: { readonly approval: ApprovalSummary }) {
  return (
    <a class="card card-link" href={linkTo(['approvals', approval.id])}>
      <div class="row">
        <ApprovalChip status={approval.status} />
        <span class="small muted">{t(`approval.kind.${approval.kind}`)}</span>
      </div>
      <span class="card-title">
        <Remote text={approval.title} />
      </span>
      <span class="small">
        {t('approval.asked_by')} <Remote text={approval.asked_by.name} />,{' '}
        <Moment date={approval.requested_date} />
        {' · '}
        {t('election.number')} <Remote text={approval.election_id} />
      </span>
      <span class="row small">
        <span class={`deadline ${approval.deadline === null ? 'muted' : 'text-attention'}`}>
          <Icon name="waiting" />
          {approval.deadline === null ? (
            t('approval.no_deadline')
          ) : (
            <span>
              {t('approval.deadline')} <Moment date={approval.deadline} show="both" />
            </span>
          )}
        </span>
        {approval.operators_required > 1 && (
          <span class="muted">
            {t('approval.operators', {
              given: approval.decisions.length,
              needed: approval.operators_required,
            })}
          </span>
        )}
      </span>
    </a>
  );
}
