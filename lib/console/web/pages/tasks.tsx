/* Trees and single tasks of this node, newest first, with filters. */
import { t } from '../catalogue/messages.ts';
import { Search, Select } from '../components/fields.tsx';
import { ListFoot } from '../components/list-foot.tsx';
import { Moment } from '../components/moment.tsx';
import { Arriving, Empty } from '../components/notice.tsx';
import { Page } from '../components/page.tsx';
import { plain, Remote } from '../components/remote.tsx';
import { TaskChip, taskName } from '../components/states.tsx';
import { usePages } from '../live/pages.ts';
import { useQuery } from '../live/query.ts';
import { linkTo, place, replaceQuery } from '../router.ts';

const SHOW = ['roots', 'all', 'unfinished', 'error'] as const;

export function Tasks() {
  const { query } = place.value;
  const show = SHOW.find((one) => one === query.get('show')) ?? 'roots';
  const [action, text] = [query.get('action') ?? '', query.get('text') ?? ''];
  const actions = useQuery('GET /api/tasks/actions', {});
  const change = (changed: object) => replaceQuery({ show, action, text, ...changed });
  const list = usePages(
    'GET /api/tasks',
    {
      query: {
        why: 'true',
        ...(show === 'roots' ? { roots: 'true' } : {}),
        ...(show === 'unfinished' ? { unfinished: 'true' } : {}),
        ...(show === 'error' ? { status: 'error' } : {}),
        ...(action === '' ? {} : { action }),
        ...(text === '' ? {} : { text }),
      },
    },
    ({ type }) => type === 'tasks',
  );
  return (
    <Page title={t('tasks.title')} name={t('tasks.title')} lead={<p>{t('tasks.lead')}</p>}>
      <search class="filters">
        <Select
          label={t('tasks.show')}
          value={show}
          options={SHOW.map((one) => [one, t(`tasks.show.${one}`)])}
          onChange={(value) => change({ show: value })}
        />
        <Select
          label={t('tasks.action')}
          value={action}
          options={[
            ['', t('filter.all')],
            ...(actions.data?.actions ?? []).map((one) => [one, plain(one)] as const),
          ]}
          onChange={(value) => change({ action: value })}
        />
        <Search label={t('filter.text')} value={text} onChange={(value) => change({ text: value })} />
      </search>
      {list.items === undefined ? (
        <Arriving error={list.error} onRetry={list.refresh} />
      ) : list.items.length === 0 ? (
        <Empty icon="tasks" title={t('tasks.none')} text={t('tasks.none.text')} />
      ) : (
        <div class="card">
          <table class="table table-stack">
            <caption class="visually-hidden">{t('tasks.title')}</caption>
            <thead>
              <tr>
                <th scope="col">{t('tasks.task')}</th>
                <th scope="col">{t('tasks.status')}</th>
                <th scope="col">{t('tasks.changed')}</th>
              </tr>
            </thead>
            <tbody>
              {list.items.map((task) => (
                <tr key={task.id}>
                  <th scope="row">
                    <a href={linkTo(['tasks', task.id])}>
                      <Remote text={taskName(task)} />
                    </a>
                    <div class="small muted">
                      <Remote text={task.why ?? task.error?.message ?? task.action} />
                    </div>
                  </th>
                  <td data-label={t('tasks.status')}>
                    <TaskChip task={task} />
                  </td>
                  <td data-label={t('tasks.changed')}>
                    <Moment date={task.modified_date} />
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
