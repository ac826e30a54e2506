/* The frame of the console: who this node is, where one can go, what is wrong, and the page. */
import { useEffect } from 'preact/hooks';
import type { MeView } from '../contract.ts';
import { APPEARANCES, type Appearance, appearance, chooseAppearance } from './appearance.ts';
import { chooseLanguage, isLanguage, LANGUAGES, language, t } from './catalogue/messages.ts';
import { Announcer } from './components/announcer.tsx';
import { Select } from './components/fields.tsx';
import { Icon, type IconName } from './components/icon.tsx';
import { Moment } from './components/moment.tsx';
import { Empty } from './components/notice.tsx';
import { Page } from './components/page.tsx';
import { Remote } from './components/remote.tsx';
import { setClock } from './live/clock.ts';
import { connection, reconnectNow } from './live/connection.ts';
import { useQuery } from './live/query.ts';
import { openSession, session, signOut } from './live/session.ts';
import { Approval } from './pages/approval.tsx';
import { Approvals } from './pages/approvals.tsx';
import { Audit } from './pages/audit.tsx';
import { Election } from './pages/election.tsx';
import { Elections } from './pages/elections.tsx';
import { Message, Messages } from './pages/messages.tsx';
import { Peers } from './pages/peers.tsx';
import { Tasks } from './pages/tasks.tsx';
import { Tree } from './pages/tree.tsx';
import { place } from './router.ts';

export function App() {
  const { value } = session;
  if (value.state === 'open') return <Console />;
  return (
    <main class="content">
      <Page title="Conclave" name={t('session.title')}>
        {value.state === 'opening' ? (
          <p class="muted">{t('loading')}</p>
        ) : value.state === 'unreachable' ? (
          <>
            <Empty icon="attention" title={t('session.unreachable')} text={t('error.offline')} />
            <button type="button" class="button button-primary" onClick={() => void openSession()}>
              {t('error.retry')}
            </button>
          </>
        ) : (
          <>
            <Empty icon="information" title={t(`session.${value.reason}`)} text={t('session.how')} />
            <pre class="code">conclave console</pre>
          </>
        )}
        <Preferences />
      </Page>
    </main>
  );
}

const NAVIGATION = [
  ['approvals', '/', ''],
  ['elections', '/elections', 'elections'],
  ['tasks', '/tasks', 'tasks'],
  ['peers', '/peers', 'peers'],
  ['messages', '/messages', 'messages'],
] as const satisfies readonly (readonly [IconName, string, string])[];

function Console() {
  const { data: me, refresh } = useQuery('GET /api/me', {}, ({ type }) =>
    ['approvals', 'peers', 'messages', 'elections'].includes(type),
  );
  useEffect(() => {
    if (me !== undefined) setClock(me.date);
  }, [me]);
  useEffect(() => {
    const timer = setInterval(refresh, 60_000);
    return () => clearInterval(timer);
  }, [refresh]);
  return (
    <>
      <a class="skip" href="#content">
        {t('nav.skip')}
      </a>
      <div class="frame">
        <div class="side">
          <header class="top">
            <a class="brand" href="/">
              <span class="brand-text">
                <span class="brand-node">{me === undefined ? 'Conclave' : <Remote text={me.node} />}</span>
                <span class="brand-product">Conclave {me?.version}</span>
              </span>
            </a>
          </header>
          <Navigation me={me} />
        </div>
        <div>
          <Banners me={me} />
          <main id="content" class="content" tabIndex={-1}>
            <CurrentPage />
            <footer class="foot page">
              <Preferences />
              <div class="row">
                {me !== undefined && (
                  <span>
                    {t('session.operator')} <Remote text={me.operator} />
                  </span>
                )}
                <button type="button" class="button button-small" onClick={() => void signOut()}>
                  {t('session.sign_out')}
                </button>
              </div>
            </footer>
          </main>
        </div>
      </div>
      <Announcer />
    </>
  );
}

function Navigation({ me }: { readonly me: MeView | undefined }) {
  const section = place.value.path[0] ?? '';
  const counts: Partial<Record<IconName, number>> = {
    approvals: me?.counts.approvals ?? 0,
    peers: me?.counts.peers_down ?? 0,
    messages: me?.counts.dead_messages ?? 0,
  };
  const current = section === 'audit' ? 'messages' : section === 'approvals' ? '' : section;
  return (
    <nav class="nav" aria-label={t('nav.label')}>
      <ul>
        {NAVIGATION.map(([name, href, path]) => (
          <li key={name}>
            <a href={href} aria-current={path === current ? 'page' : undefined}>
              <Icon name={name} />
              <span>{t(`nav.${name}`)}</span>
              {(counts[name] ?? 0) > 0 && (
                <span class="nav-count">
                  {counts[name]}
                  <span class="visually-hidden">
                    {' '}
                    {t(name === 'peers' || name === 'messages' ? `nav.count.${name}` : 'nav.count.approvals')}
                  </span>
                </span>
              )}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

function Banners({ me }: { readonly me: MeView | undefined }) {
  const { value } = connection;
  return (
    <section class="sticky" aria-label={t('nav.problems')}>
      <div role="alert">
        {value.state === 'lost' && (
          <div class="banner">
            <Icon name="attention" />
            <p>
              <strong>{t('connection.lost')}</strong> {t('connection.lost.text')}{' '}
              <Moment date={new Date(value.since).toISOString()} />
            </p>
            <button type="button" class="button button-small" onClick={reconnectNow}>
              {t('connection.now')}
            </button>
          </div>
        )}
      </div>
      {me?.problems.map((problem) => (
        <div key={problem} class="banner">
          <Icon name="attention" />
          <p>
            <Remote text={problem} />
          </p>
        </div>
      ))}
    </section>
  );
}

function CurrentPage() {
  const [section = '', id] = place.value.path;
  if (section === '') return <Approvals />;
  if (section === 'approvals' && id !== undefined) return <Approval key={id} id={id} />;
  if (section === 'elections') return id === undefined ? <Elections /> : <Election key={id} id={id} />;
  if (section === 'tasks') return id === undefined ? <Tasks /> : <Tree key="tree" id={id} />;
  if (section === 'peers') return <Peers key={id} id={id} />;
  if (section === 'messages') return id === undefined ? <Messages /> : <Message key={id} sequence={id} />;
  if (section === 'audit') return <Audit />;
  return (
    <Page title={t('error.no_page')} name={t('error.no_page')}>
      <p>{t('error.not_found')}</p>
    </Page>
  );
}

function Preferences() {
  return (
    <div class="preferences">
      <Select
        label={t('preferences.language')}
        value={language.value}
        options={Object.entries(LANGUAGES)}
        onChange={(chosen) => isLanguage(chosen) && chooseLanguage(chosen)}
      />
      <Select
        label={t('preferences.appearance')}
        value={appearance.value}
        options={APPEARANCES.map((one) => [one, t(`appearance.${one}`)])}
        onChange={(chosen) => chooseAppearance(chosen as Appearance)}
      />
    </div>
  );
}
