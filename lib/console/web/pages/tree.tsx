/* One task tree: its rows, the chosen task with what it waits for, its data, its timings, and what can be done about it. */
import { useState } from 'preact/hooks';
import type { TaskView } from '../../../operator/views.ts';
import { formatDuration } from '../catalogue/formats.ts';
import { t } from '../catalogue/messages.ts';
import { Dialog } from '../components/dialog.tsx';
import { Facts } from '../components/facts.tsx';
import { TextArea } from '../components/fields.tsx';
import { JsonView } from '../components/json-view.tsx';
import { Moment } from '../components/moment.tsx';
import { Arriving, Notice } from '../components/notice.tsx';
import { Page } from '../components/page.tsx';
import { plain, Remote } from '../components/remote.tsx';
import { TaskChip, taskName } from '../components/states.tsx';
import { TaskTree } from '../components/task-tree.tsx';
import { request } from '../live/api.ts';
import { now } from '../live/clock.ts';
import { useQuery } from '../live/query.ts';
import { go, linkTo } from '../router.ts';

export function Tree({ id }: { readonly id: string }) {
  const { data, error, refresh } = useQuery('GET /api/tasks/:id', { path: { id } }, (event) =>
    event.type === 'tasks' ? !event.data.complete || event.data.ids.includes(id) : false,
  );
  const [root, setRoot] = useState<string>();
  if (data !== undefined && data.root_id !== root) setRoot(data.root_id);
  return (
    <Page title={t('tree.title')} name={t('tree.title')} back={{ href: '/tasks', text: t('tasks.title') }}>
      {root !== undefined && (
        <TaskTree
          key={root}
          rootId={root}
          selected={id}
          above={data?.ancestors.map((ancestor) => ancestor.id)}
          onSelect={(chosen) => go(linkTo(['tasks', chosen]))}
        />
      )}
      {data === undefined ? (
        <Arriving error={error} onRetry={refresh} />
      ) : (
        <Details task={data} refresh={refresh} />
      )}
      {root !== undefined && <Timings key={root} rootId={root} />}
    </Page>
  );
}

function Details({ task, refresh }: { readonly task: TaskView; readonly refresh: () => void }) {
  const [asked, setAsked] = useState<'retry' | 'cancel' | 'finish'>();
  const { actions, why_waiting: why } = task;
  return (
    <section class="card" aria-labelledby="task">
      <div class="card-head">
        <h2 id="task">
          <Remote text={taskName(task)} />
        </h2>
        <TaskChip task={task} />
      </div>
      {task.why !== null || (task.status !== 'finished' && task.status !== 'error') ? (
        <Notice tone="busy">
          <p>
            <Remote text={why.sentence} />
          </p>
        </Notice>
      ) : null}
      {task.error !== null && (
        <Notice tone="bad">
          <p>
            <Remote text={task.error.message} />
          </p>
        </Notice>
      )}
      <Facts
        columns={3}
        facts={[
          [t('task.id'), <code key="id">{task.id}</code>],
          [t('tasks.action'), <Remote key="action" text={`${task.queue} / ${task.action}`} />],
          [t('task.where'), <Remote key="where" text={task.peer?.name ?? t('authority.self')} />],
          [t('task.created'), <Moment key="created" date={task.created_date} show="both" />],
          [t('tasks.changed'), <Moment key="changed" date={task.modified_date} show="both" />],
          [t('task.attempt'), String(task.attempt)],
        ]}
      />
      <div class="button-row">
        {actions.decide.allowed && (
          <a class="button button-primary" href={linkTo(['approvals', task.id])}>
            {t('approval.decide')}
          </a>
        )}
        {(['retry', 'finish', 'cancel'] as const).map(
          (name) =>
            actions[name].allowed && (
              <button key={name} type="button" class="button" onClick={() => setAsked(name)}>
                {t(`task.${name}`)}
              </button>
            ),
        )}
      </div>
      <details>
        <summary>{t('task.data')}</summary>
        <div class="stack">
          <JsonView label={t('task.input')} value={task.input} />
          <JsonView label={t('task.output')} value={task.output} />
        </div>
      </details>
      {asked !== undefined && (
        <ActionDialog
          kind={asked}
          task={task}
          onClose={() => {
            setAsked(undefined);
            refresh();
          }}
        />
      )}
    </section>
  );
}

interface ActionProps {
  readonly kind: 'retry' | 'cancel' | 'finish';
  readonly task: TaskView;
  readonly onClose: () => void;
}

function ActionDialog({ kind, task, onClose }: ActionProps) {
  const [text, setText] = useState('');
  const path = { id: task.id };
  const act = async (): Promise<void> => {
    if (kind === 'retry') await request('POST /api/tasks/:id/retry', { path });
    else if (kind === 'cancel')
      await request('POST /api/tasks/:id/cancel', { path, body: { reason: text.trim() } });
    else await request('POST /api/tasks/:id/finish', { path, body: { data: JSON.parse(text) } });
  };
  return (
    <Dialog
      title={t(`task.${kind}`)}
      action={t(`task.${kind}`)}
      tone={kind === 'cancel' ? 'danger' : 'primary'}
      done={t('task.done')}
      ready={kind === 'retry' || text.trim() !== ''}
      onConfirm={act}
      onClose={onClose}
    >
      <p>{t(`task.${kind}.text`, { name: plain(taskName(task)) })}</p>
      {kind !== 'retry' && (
        <TextArea label={t(`task.${kind}.label`)} value={text} maxLength={1000} required onChange={setText} />
      )}
    </Dialog>
  );
}

const SHOWN_STEP = 100;

function Timings({ rootId }: { readonly rootId: string }) {
  const { data } = useQuery('GET /api/tasks/:id/timings', { path: { id: rootId } }, (event) =>
    event.type === 'tasks' ? event.data.roots.includes(rootId) : false,
  );
  const [shown, setShown] = useState(SHOWN_STEP);
  if (data === undefined || data.items.length === 0) return null;
  const end = (date: string | null) => (date === null ? now.value : Date.parse(date));
  const from = Math.min(...data.items.map(({ created_date }) => Date.parse(created_date)));
  const span = Math.max(1, Math.max(...data.items.map(({ ended_date }) => end(ended_date))) - from);
  return (
    <section class="card" aria-labelledby="timings">
      <h2 id="timings">{t('timings.title')}</h2>
      <table class="table table-stack">
        <thead>
          <tr>
            <th scope="col">{t('tasks.task')}</th>
            <th scope="col">{t('task.where')}</th>
            <th scope="col">{t('timings.duration')}</th>
            <th scope="col">{t('timings.course')}</th>
          </tr>
        </thead>
        <tbody>
          {data.items.slice(0, shown).map((timing) => {
            const start = Date.parse(timing.created_date);
            const length = Math.max(0, end(timing.ended_date) - start);
            const state = timing.ended_date === null ? ' waterfall-bar-open' : '';
            return (
              <tr key={timing.id}>
                <th scope="row">
                  <Remote text={taskName({ ...timing, type: 'simple' })} />
                </th>
                <td data-label={t('task.where')}>
                  <Remote text={timing.node} />
                </td>
                <td data-label={t('timings.duration')}>{formatDuration(length)}</td>
                <td>
                  <svg class="waterfall" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
                    <rect
                      class={`waterfall-bar${timing.status === 'error' ? ' waterfall-bar-error' : state}`}
                      x={((start - from) / span) * 100}
                      y="1"
                      width={Math.max(0.5, (length / span) * 100)}
                      height="8"
                    />
                  </svg>
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
      {!data.complete && <p class="small muted">{t('timings.cut')}</p>}
      {data.items.length > shown && (
        <button type="button" class="button button-small" onClick={() => setShown(shown + SHOWN_STEP)}>
          {t('list.more')}
        </button>
      )}
    </section>
  );
}
