/* Messages sent and received, and one of them with its attempts; a dead letter can be sent again. */
import { useState } from 'preact/hooks';
import { failureText } from '../catalogue/failures.ts';
import { t } from '../catalogue/messages.ts';
import { Facts } from '../components/facts.tsx';
import { Search, Select } from '../components/fields.tsx';
import { JsonView } from '../components/json-view.tsx';
import { ListFoot } from '../components/list-foot.tsx';
import { Moment } from '../components/moment.tsx';
import { Arriving, Empty, Notice } from '../components/notice.tsx';
import { Page } from '../components/page.tsx';
import { Remote } from '../components/remote.tsx';
import { MessageChip } from '../components/states.tsx';
import { request } from '../live/api.ts';
import { usePages } from '../live/pages.ts';
import { asFailure, useQuery } from '../live/query.ts';
import { linkTo, place, replaceQuery } from '../router.ts';

const STATES = ['pending', 'dead', 'delivered', 'processed', 'withdrawn'] as const;

export function MessageTabs({ current }: { readonly current: 'messages' | 'audit' }) {
  return (
    <nav class="tabs" aria-label={t('nav.messages')}>
      <a href="/messages" aria-current={current === 'messages' ? 'page' : undefined}>
        {t('messages.title')}
      </a>
      <a href="/audit" aria-current={current === 'audit' ? 'page' : undefined}>
        {t('audit.title')}
      </a>
    </nav>
  );
}

export function Messages() {
  const { query } = place.value;
  const state = STATES.find((one) => one === query.get('state'));
  const text = query.get('text') ?? '';
  const list = usePages(
    'GET /api/messages',
    { query: { ...(state === undefined ? {} : { state }), ...(text === '' ? {} : { text }) } },
    ({ type }) => type === 'messages',
  );
  return (
    <Page title={t('messages.title')} name={t('messages.title')} lead={<p>{t('messages.lead')}</p>}>
      <MessageTabs current="messages" />
      <search class="filters">
        <Select
          label={t('messages.state')}
          value={state ?? ''}
          options={[['', t('filter.all')], ...STATES.map((one) => [one, t(`message.state.${one}`)] as const)]}
          onChange={(value) => replaceQuery({ state: value, text })}
        />
        <Search
          label={t('filter.text')}
          value={text}
          onChange={(value) => replaceQuery({ state: state ?? '', text: value })}
        />
      </search>
      {list.items === undefined ? (
        <Arriving error={list.error} onRetry={list.refresh} />
      ) : list.items.length === 0 ? (
        <Empty icon="messages" title={t('messages.none')} text={t('messages.none.text')} />
      ) : (
        <div class="card">
          <table class="table table-stack">
            <caption class="visually-hidden">{t('messages.title')}</caption>
            <thead>
              <tr>
                <th scope="col">{t('messages.message')}</th>
                <th scope="col">{t('messages.peer')}</th>
                <th scope="col">{t('messages.state')}</th>
                <th scope="col">{t('messages.created')}</th>
              </tr>
            </thead>
            <tbody>
              {list.items.map((message) => (
                <tr key={message.sequence}>
                  <th scope="row">
                    <a href={linkTo(['messages', String(message.sequence)])}>
                      <Remote text={message.action} />
                    </a>
                  </th>
                  <td data-label={t('messages.peer')}>
                    {t(message.is_received ? 'messages.from' : 'messages.to')}{' '}
                    <Remote text={message.peer?.name ?? message.peer?.id ?? '–'} />
                  </td>
                  <td data-label={t('messages.state')}>
                    <MessageChip state={message.state} />
                  </td>
                  <td data-label={t('messages.created')}>
                    <Moment date={message.created_date} />
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

export function Message({ sequence }: { readonly sequence: string }) {
  const path = { sequence };
  const { data, error, refresh, show } = useQuery(
    'GET /api/messages/:sequence',
    { path },
    ({ type }) => type === 'messages',
  );
  const [problem, setProblem] = useState('');
  const resend = (): void => {
    setProblem('');
    request('POST /api/messages/:sequence/resend', { path }).then(show, (failure) =>
      setProblem(failureText(asFailure(failure))),
    );
  };
  return (
    <Page
      title={data === undefined ? t('messages.message') : <Remote text={data.action} />}
      name={t('messages.message')}
      back={{ href: '/messages', text: t('messages.title') }}
      beside={data !== undefined && <MessageChip state={data.state} />}
    >
      {data === undefined ? (
        <Arriving error={error} onRetry={refresh} />
      ) : (
        <div class="card">
          {data.error !== null && (
            <Notice tone="bad">
              <Remote text={data.error.message} />
            </Notice>
          )}
          <Facts
            facts={[
              [t('messages.sender'), <Remote key="sender" text={data.sender_url} />],
              [t('messages.receiver'), <Remote key="receiver" text={data.receiver_url} />],
              [t('messages.created'), <Moment key="created" date={data.created_date} show="both" />],
              data.next_attempt === null
                ? undefined
                : [t('messages.next'), <Moment key="next" date={data.next_attempt} show="both" />],
              data.task_id === null
                ? undefined
                : [
                    t('tasks.task'),
                    <a key="task" href={linkTo(['tasks', data.task_id])}>
                      {data.task_id}
                    </a>,
                  ],
            ]}
          />
          {data.resend.allowed && (
            <div class="button-row">
              <button type="button" class="button button-primary" onClick={resend}>
                {t('messages.resend')}
              </button>
            </div>
          )}
          {problem !== '' && <Notice tone="bad">{problem}</Notice>}
          <h2>{t('messages.attempts', { count: data.delivery_attempts.length })}</h2>
          <ol class="steps">
            {data.delivery_attempts.map((attempt) => (
              <li key={attempt.attempt} class="small">
                {attempt.attempt}. <Moment date={attempt.date} show="both" /> {attempt.status ?? '–'}{' '}
                {attempt.error !== null && <Remote text={attempt.error.message} />}
              </li>
            ))}
          </ol>
          <JsonView label={t('messages.data')} value={data.data} />
        </div>
      )}
    </Page>
  );
}
