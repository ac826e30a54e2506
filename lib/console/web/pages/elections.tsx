/* All elections that this authority has a part in, newest first. */
import { t } from '../catalogue/messages.ts';
import { ListFoot } from '../components/list-foot.tsx';
import { Moment } from '../components/moment.tsx';
import { Arriving, Empty } from '../components/notice.tsx';
import { Page } from '../components/page.tsx';
import { Remote } from '../components/remote.tsx';
import { ElectionChip, TallyChip } from '../components/states.tsx';
import { usePages } from '../live/pages.ts';
import { linkTo } from '../router.ts';

export function Elections() {
  const list = usePages('GET /api/elections', {}, ({ type }) => type === 'elections' || type === 'approvals');
  return (
    <Page title={t('elections.title')} name={t('elections.title')} lead={<p>{t('elections.lead')}</p>}>
      {list.items === undefined ? (
        <Arriving error={list.error} onRetry={list.refresh} />
      ) : list.items.length === 0 ? (
        <Empty icon="elections" title={t('elections.none')} text={t('elections.none.text')} />
      ) : (
        <div class="card">
          <table class="table table-stack">
            <caption class="visually-hidden">{t('elections.title')}</caption>
            <thead>
              <tr>
                <th scope="col">{t('elections.election')}</th>
                <th scope="col">{t('elections.keys')}</th>
                <th scope="col">{t('elections.tally')}</th>
                <th scope="col">{t('elections.authorities')}</th>
                <th scope="col">{t('elections.changed')}</th>
              </tr>
            </thead>
            <tbody>
              {list.items.map((election) => (
                <tr key={election.id}>
                  <th scope="row">
                    <a href={linkTo(['elections', election.id])}>
                      <Remote text={election.title === '' ? election.id : election.title} />
                    </a>
                    <div class="small muted">
                      {t('election.number')} <Remote text={election.id} />
                      {election.is_director && ` · ${t('election.director')}`}
                    </div>
                    {election.approval_waiting && (
                      <div class="small text-attention">{t('election.waits_for_you')}</div>
                    )}
                  </th>
                  <td data-label={t('elections.keys')}>
                    <ElectionChip status={election.status} />
                  </td>
                  <td data-label={t('elections.tally')}>
                    {election.tally_status === null ? (
                      <span class="muted">{t('tally.none')}</span>
                    ) : (
                      <TallyChip status={election.tally_status} />
                    )}
                  </td>
                  <td data-label={t('elections.authorities')}>
                    {t('election.threshold.of', { needed: election.threshold, count: election.authorities })}
                  </td>
                  <td data-label={t('elections.changed')} class="nowrap">
                    <Moment date={election.modified_date} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
          <ListFoot list={list} />
        </div>
      )}
    </Page>
  );
}
