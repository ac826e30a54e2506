/* The other nodes: whether they answer, what waits for them, which certificates are pinned; to add, rotate, remove them. */
import { useState } from 'preact/hooks';
import type { PeerPreview, PeerView } from '../../../operator/views.ts';
import { formatDuration } from '../catalogue/formats.ts';
import { t } from '../catalogue/messages.ts';
import { Dialog } from '../components/dialog.tsx';
import { Facts } from '../components/facts.tsx';
import { Check, FileChooser, TextArea } from '../components/fields.tsx';
import { HashBox, HashWords } from '../components/hash.tsx';
import { Moment } from '../components/moment.tsx';
import { Arriving, Notice } from '../components/notice.tsx';
import { Page } from '../components/page.tsx';
import { plain, Remote } from '../components/remote.tsx';
import { PeerChip } from '../components/states.tsx';
import { request } from '../live/api.ts';
import { useQuery } from '../live/query.ts';
import { linkTo } from '../router.ts';

type Question =
  | { readonly kind: 'add' }
  | { readonly kind: 'rotate' | 'complete' | 'remove'; readonly peer: PeerView };

/** All, or the one with this id. */
export function Peers({ id }: { readonly id: string | undefined }) {
  const { data, error, refresh } = useQuery(
    'GET /api/peers',
    {},
    ({ type }) => type === 'peers' || type === 'messages',
  );
  const [question, setQuestion] = useState<Question>();
  const close = (): void => {
    setQuestion(undefined);
    refresh();
  };
  const shown = data?.items.filter((peer) => id === undefined || peer.id === id);
  return (
    <Page
      title={t('peers.title')}
      name={t('peers.title')}
      {...(id === undefined
        ? { lead: <p>{t('peers.lead')}</p> }
        : { back: { href: '/peers', text: t('peers.title') } })}
    >
      {data === undefined || shown === undefined ? (
        <Arriving error={error} onRetry={refresh} />
      ) : id !== undefined ? (
        shown.length === 0 ? (
          <p>{t('error.not_found')}</p>
        ) : (
          shown.map((peer) => <Peer key={peer.id} peer={peer} ask={setQuestion} refresh={refresh} />)
        )
      ) : (
        <>
          <div class="button-row">
            <button type="button" class="button button-primary" onClick={() => setQuestion({ kind: 'add' })}>
              {t('peers.add')}
            </button>
            <a class="button" href="/api/peers/self/file" download>
              {t('peers.own_file')}
            </a>
          </div>
          <ul class="card-list">
            {shown.map((peer) => (
              <li key={peer.id}>
                <Peer peer={peer} ask={setQuestion} refresh={refresh} />
              </li>
            ))}
          </ul>
          <section class="card" aria-labelledby="self">
            <h2 id="self">{t('authority.self')}</h2>
            <p class="small muted">{t('peers.self.text')}</p>
            <HashBox hash={data.self.fingerprint} />
          </section>
        </>
      )}
      {question?.kind === 'add' && <FileDialog peer={undefined} onClose={close} />}
      {question?.kind === 'rotate' && <FileDialog peer={question.peer} onClose={close} />}
      {(question?.kind === 'remove' || question?.kind === 'complete') && (
        <ConfirmDialog kind={question.kind} peer={question.peer} onClose={close} />
      )}
    </Page>
  );
}

interface PeerProps {
  readonly peer: PeerView;
  readonly ask: (question: Question) => void;
  readonly refresh: () => void;
}

function Peer({ peer, ask, refresh }: PeerProps) {
  const [said, setSaid] = useState('');
  const check = (): void => {
    setSaid(t('dialog.working'));
    request('POST /api/peers/:id/check', { path: { id: peer.id } }).then(
      ({ problem }) => {
        setSaid(problem ?? t('peers.reachable'));
        refresh();
      },
      (failure: Error) => setSaid(failure.message),
    );
  };
  return (
    <article class="card">
      <div class="card-head">
        <h2>
          <a href={linkTo(['peers', peer.id])}>
            <Remote text={peer.name} />
          </a>
        </h2>
        <PeerChip state={peer.state} />
      </div>
      <Facts
        columns={3}
        facts={[
          [t('peers.url'), <Remote key="url" text={peer.url ?? '–'} />],
          [
            t('peers.contact'),
            peer.last_contact === null ? '–' : <Moment key="contact" date={peer.last_contact} />,
          ],
          [
            t('peers.clock'),
            peer.clock_difference_ms === null ? '–' : formatDuration(Math.abs(peer.clock_difference_ms)),
          ],
          [t('peers.undelivered'), String(peer.undelivered)],
          [t('peers.dead'), String(peer.dead)],
          [t('peers.roles'), peer.roles.map((role) => t(`role.${role}`)).join(', ')],
        ]}
      />
      {peer.last_error !== null && peer.state === 'down' && (
        <Notice tone="bad">
          <Remote text={peer.last_error} />
        </Notice>
      )}
      {peer.certificates.map((certificate) => (
        <details key={certificate.fingerprint.hex} class="small">
          <summary>
            {t('certificate.expires')} <Moment date={certificate.not_after} show="both" />
          </summary>
          <HashBox hash={certificate.fingerprint} />
        </details>
      ))}
      <div class="button-row">
        <button type="button" class="button button-small" onClick={check}>
          {t('peers.check')}
        </button>
        <button type="button" class="button button-small" onClick={() => ask({ kind: 'rotate', peer })}>
          {t('peers.rotate')}
        </button>
        {peer.certificates.length > 1 && (
          <button type="button" class="button button-small" onClick={() => ask({ kind: 'complete', peer })}>
            {t('peers.complete')}
          </button>
        )}
        <button
          type="button"
          class="button button-small button-danger"
          onClick={() => ask({ kind: 'remove', peer })}
        >
          {t('peers.remove')}
        </button>
      </div>
      <p class="small" role="status">
        <Remote text={said} />
      </p>
    </article>
  );
}

const MAX_FILE = 40_000;

/** First the file, then the words that the other operator reads out. */
function FileDialog({
  peer,
  onClose,
}: {
  readonly peer: PeerView | undefined;
  readonly onClose: () => void;
}) {
  const [file, setFile] = useState('');
  const [preview, setPreview] = useState<PeerPreview>();
  const [compared, setCompared] = useState(false);
  const look = async (): Promise<void> =>
    setPreview(await request('POST /api/peers/preview', { body: { file } }));
  const add = async (): Promise<void> => {
    const body = { file, fingerprint: preview!.fingerprint.hex };
    if (peer === undefined) await request('POST /api/peers', { body });
    else await request('POST /api/peers/:id/rotate', { path: { id: peer.id }, body });
  };
  const title = peer === undefined ? t('peers.add') : t('peers.rotate.title', { name: plain(peer.name) });
  if (preview === undefined)
    return (
      <Dialog
        key="file"
        title={title}
        action={t('peers.look')}
        done=""
        ready={file.trim() !== ''}
        stays
        onConfirm={look}
        onClose={onClose}
      >
        <FileChooser
          label={t('peers.choose')}
          tooLarge={t('peers.too_large')}
          maxBytes={MAX_FILE}
          onChosen={setFile}
        />
        <TextArea
          label={t('peers.file')}
          hint={t('peers.file.hint')}
          value={file}
          maxLength={MAX_FILE}
          required
          onChange={setFile}
        />
      </Dialog>
    );
  return (
    <Dialog
      key="words"
      title={title}
      action={title}
      done={t('peers.done')}
      ready={compared}
      onConfirm={add}
      onClose={onClose}
    >
      <p>
        <Remote text={preview.name ?? '–'} /> <Remote text={preview.url ?? ''} />
      </p>
      {preview.known_as !== null && peer === undefined && (
        <Notice tone="attention">
          {t('peers.known_as')} <Remote text={preview.known_as} />
        </Notice>
      )}
      <HashWords words={preview.fingerprint.words} />
      <Check label={t('peers.compared')} checked={compared} onChange={setCompared} />
    </Dialog>
  );
}

interface ConfirmProps {
  readonly kind: 'remove' | 'complete';
  readonly peer: PeerView;
  readonly onClose: () => void;
}

function ConfirmDialog({ kind, peer, onClose }: ConfirmProps) {
  const path = { id: peer.id };
  const confirm = async (): Promise<void> => {
    if (kind === 'remove') await request('DELETE /api/peers/:id', { path });
    else await request('POST /api/peers/:id/rotate/complete', { path });
  };
  return (
    <Dialog
      title={t(`peers.${kind}.title`, { name: plain(peer.name) })}
      action={t(`peers.${kind}`)}
      tone="danger"
      done={t('peers.done')}
      onConfirm={confirm}
      onClose={onClose}
    >
      <p>{t(`peers.${kind}.text`)}</p>
      <HashWords words={peer.certificates.at(-1)?.fingerprint.words ?? []} />
    </Dialog>
  );
}
