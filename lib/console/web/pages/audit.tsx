/* The audit trail: what happened and who decided it, newest first. */
import { t } from '../catalogue/messages.ts';
import { Search } from '../components/fields.tsx';
import { JsonView } from '../components/json-view.tsx';
import { ListFoot } from '../components/list-foot.tsx';
import { Moment } from '../components/moment.tsx';
import { Arriving } from '../components/notice.tsx';
import { Page } from '../components/page.tsx';
import { plain, Remote } from '../components/remote.tsx';
import { usePages } from '../live/pages.ts';
import { place, replaceQuery } from '../router.ts';
import { MessageTabs } from './messages.tsx';

const FILTERS = ['kind', 'peer', 'task', 'election'] as const;

export function Audit() {
  const values = Object.fromEntries(FILTERS.map((name) => [name, place.value.query.get(name) ?? '']));
  const given = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== ''));
  const list = usePages('GET /api/audit', { query: given }, ({ type }) => type === 'audit');
  return (
    <Page title={t('audit.title')} name={t('audit.title')} lead={<p>{t('audit.lead')}</p>}>
      <MessageTabs current="audit" />
      <search class="filters">
        {FILTERS.map((name) => (
          <Search
            key={name}
            label={t(`audit.${name}`)}
            value={values[name] ?? ''}
            onChange={(value) => replaceQuery({ ...values, [name]: value })}
          />
        ))}
      </search>
      {list.items === undefined ? (
        <Arriving error={list.error} onRetry={list.refresh} />
      ) : (
        <div class="card">
          <ol class="steps trail">
            {list.items.map((entry) => (
              <li key={`${entry.place?.block}/${entry.place?.entry} ${entry.date} ${entry.summary}`}>
                <details>
                  <summary>
                    <Remote text={entry.summary} />
                  </summary>
                  <JsonView label={plain(entry.kind)} value={entry.entry} />
                </details>
                <span class="small muted">
                  <Moment date={entry.date} show="both" />{' '}
                  {entry.place === null ? t('audit.unsealed') : `${entry.place.block}/${entry.place.entry}`}
                </span>
              </li>
            ))}
          </ol>
          <ListFoot list={list} />
        </div>
      )}
    </Page>
  );
}
