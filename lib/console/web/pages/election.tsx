/* One election: its state, questions, keys, each authority's part, results, verification and downloads. */
import type { DownloadView, ElectionView, SessionView, TallyView } from '../../../operator/views.ts';
import { formatBytes } from '../catalogue/formats.ts';
import { t } from '../catalogue/messages.ts';
import { Chip } from '../components/chip.tsx';
import { HashGroups, HashWords } from '../components/hash.tsx';
import { Icon } from '../components/icon.tsx';
import { JsonView } from '../components/json-view.tsx';
import { Moment } from '../components/moment.tsx';
import { Arriving, Notice } from '../components/notice.tsx';
import { Page } from '../components/page.tsx';
import { plain, Remote } from '../components/remote.tsx';
import { ElectionChip, TallyChip, TaskChip, taskName } from '../components/states.tsx';
import { useQuery } from '../live/query.ts';
import { linkTo } from '../router.ts';
import { Authorities, ElectionFacts, Questions } from './election-details.tsx';
import { Parts } from './parts.tsx';
import { Results } from './results.tsx';
import { Verification } from './verification.tsx';

export function Election({ id }: { readonly id: string }) {
  const { data, error, refresh } = useQuery('GET /api/elections/:id', { path: { id } }, (event) =>
    event.type === 'elections'
      ? event.data.ids.includes(id)
      : event.type === 'tasks' || event.type === 'approvals',
  );
  return (
    <Page
      title={data === undefined ? t('elections.election') : <Remote text={data.title} />}
      name={data === undefined ? t('elections.election') : plain(data.title)}
      back={{ href: linkTo(['elections']), text: t('elections.title') }}
      beside={
        data !== undefined && (
          <>
            <ElectionChip status={data.status} />
            {data.tally_status !== null && <TallyChip status={data.tally_status} />}
          </>
        )
      }
    >
      {data === undefined ? <Arriving error={error} onRetry={refresh} /> : <Body election={data} />}
    </Page>
  );
}

function Body({ election }: { readonly election: ElectionView }) {
  const [latest, ...older] = election.tallies;
  return (
    <>
      {election.approval_waiting && (
        <Notice tone="attention">
          <p>
            {t('election.waits_for_you')} <a href="/">{t('approvals.title')}</a>
          </p>
        </Notice>
      )}
      {election.reason !== null && (
        <Notice tone="bad">
          <p>
            <Remote text={election.reason} />
          </p>
        </Notice>
      )}
      {latest !== undefined && <Tally election={election} tally={latest} open />}
      {older.map((tally) => (
        <Tally key={tally.tally_id} election={election} tally={tally} />
      ))}
      <section class="card" aria-labelledby="facts">
        <h2 id="facts">{t('election.request')}</h2>
        <ElectionFacts details={election.details} />
        <div class="stack stack-tight">
          <span class="label">{t('election.request_hash')}</span>
          <HashGroups hex={election.details.request_hash.hex} />
        </div>
      </section>
      <Questions questions={election.details.questions} />
      <Keys sessions={election.sessions} />
      <section class="card" aria-labelledby="creation">
        <h2 id="creation">{t('election.creation')}</h2>
        <Parts parts={election.creation} questions={election.questions} />
      </section>
      <Authorities authorities={election.details.authorities} threshold={election.details.threshold} />
      <Downloads id="downloads" downloads={election.downloads} />
      <Trees election={election} />
    </>
  );
}

interface TallyProps {
  readonly election: ElectionView;
  readonly tally: TallyView;
  readonly open?: boolean;
}

function Tally({ election, tally, open = false }: TallyProps) {
  const heading = `tally-${tally.tally_id}`;
  return (
    <section class="card" aria-labelledby={heading}>
      <div class="card-head">
        <h2 id={heading}>{t(open ? 'tally.title' : 'tally.older')}</h2>
        <TallyChip status={tally.status} />
      </div>
      <p class="small muted">
        {t('tally.asked')} <Moment date={tally.created_date} show="both" />
      </p>
      {tally.reason !== null && (
        <Notice tone="bad">
          <p>
            <Remote text={tally.reason} />
          </p>
        </Notice>
      )}
      {tally.results !== null && <Results results={tally.results} />}
      {(tally.status === 'published' || tally.verification !== null) && (
        <Verification electionId={election.id} tally={tally} />
      )}
      {tally.tally_hash !== null && (
        <div class="stack stack-tight">
          <span class="label">{t('tally.hash')}</span>
          <code class="break">
            <Remote text={tally.tally_hash} />
          </code>
        </div>
      )}
      {tally.downloads.length > 0 && <DownloadTable downloads={tally.downloads} />}
      <details open={open && tally.status !== 'published'}>
        <summary>{t('tally.parts')}</summary>
        <Parts parts={tally.authorities} questions={election.questions} />
      </details>
    </section>
  );
}

function Keys({ sessions }: { readonly sessions: readonly SessionView[] }) {
  return (
    <section class="card" aria-labelledby="keys">
      <h2 id="keys">{t('keys.title')}</h2>
      <p class="small muted">{t('keys.text')}</p>
      {sessions.length === 0 && <p>{t('keys.none')}</p>}
      {sessions.map((session) => (
        <div key={session.session_id} class="stack stack-tight">
          <div class="row">
            <h3>{t('question.number', { number: session.question + 1 })}</h3>
            <Chip tone={session.share === 'held' ? 'good' : 'attention'} text={t(`share.${session.share}`)} />
          </div>
          {session.key_hash === null ? (
            <p class="muted">{t('keys.not_yet')}</p>
          ) : (
            <>
              <HashGroups hex={session.key_hash.hex} />
              <details>
                <summary>{t('keys.details')}</summary>
                <div class="stack">
                  <HashWords words={session.key_hash.words} />
                  <JsonView label={t('keys.public')} value={session.public_key} />
                </div>
              </details>
            </>
          )}
        </div>
      ))}
    </section>
  );
}

function Downloads(props: { readonly id: string; readonly downloads: readonly DownloadView[] }) {
  if (props.downloads.length === 0) return null;
  return (
    <section class="card" aria-labelledby={props.id}>
      <h2 id={props.id}>{t('downloads.title')}</h2>
      <DownloadTable downloads={props.downloads} />
    </section>
  );
}

function DownloadTable({ downloads }: { readonly downloads: readonly DownloadView[] }) {
  return (
    <table class="table table-stack">
      <caption>{t('downloads.caption')}</caption>
      <thead>
        <tr>
          <th scope="col">{t('downloads.file')}</th>
          <th scope="col">{t('downloads.size')}</th>
          <th scope="col">{t('downloads.hash')}</th>
        </tr>
      </thead>
      <tbody>
        {downloads.map((file) => (
          <tr key={file.name}>
            <th scope="row">
              <a class="row" href={file.url} download={file.name}>
                <Icon name="download" />
                <Remote text={file.name} />
              </a>
            </th>
            <td data-label={t('downloads.size')} class="nowrap">
              {formatBytes(file.size)}
            </td>
            <td data-label={t('downloads.hash')}>
              <code>{file.sha256}</code>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Trees({ election }: { readonly election: ElectionView }) {
  if (election.trees.length === 0) return null;
  return (
    <section class="card" aria-labelledby="trees">
      <h2 id="trees">{t('election.trees')}</h2>
      <ul class="steps">
        {election.trees.map((tree) => (
          <li key={tree.id} class="row">
            <TaskChip task={tree} />
            <a href={linkTo(['tasks', tree.id])}>
              <Remote text={taskName(tree)} />
            </a>
            <span class="small muted">
              <Moment date={tree.created_date} show="both" />
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}
