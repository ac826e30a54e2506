/*
 * Who is signed in. The one-time link's token is taken out of the address before anything else happens, and exchanged once;
 * a page that is loaded again asks for its session.
 */
import { signal } from '@preact/signals';
import type { SessionView } from '../../contract.ts';
import { listenToSession, request } from './api.ts';
import { closeConnection, openConnection } from './connection.ts';

export type Session =
  | { readonly state: 'opening' }
  | { readonly state: 'open'; readonly view: SessionView }
  /** `reason`: none yet, the link was no good, it has ended by itself, or it was ended here. */
  | { readonly state: 'none'; readonly reason: 'none' | 'link' | 'ended' | 'signed_out' }
  | { readonly state: 'unreachable' };

export const session = signal<Session>({ state: 'opening' });

listenToSession({
  csrfToken: () => (session.value.state === 'open' ? session.value.view.csrf_token : ''),
  sessionEnded: () => end('ended'),
});

export async function openSession(): Promise<void> {
  const link = takeLink();
  session.value = { state: 'opening' };
  try {
    const view = await (link === null
      ? request('GET /api/session', {})
      : request('POST /api/session', { body: { link } }));
    session.value = { state: 'open', view };
    openConnection(() => end('ended'));
  } catch (error) {
    const status = (error as { status?: number }).status ?? 0;
    const refused = status >= 400 && status < 500;
    session.value = refused
      ? { state: 'none', reason: link === null ? 'none' : 'link' }
      : { state: 'unreachable' };
  }
}

export async function signOut(): Promise<void> {
  await request('DELETE /api/session', {}).catch(() => {});
  end('signed_out');
}

function end(reason: 'ended' | 'signed_out'): void {
  if (session.value.state === 'open') session.value = { state: 'none', reason };
  closeConnection();
}

/** A link that is opened in a page that is there already changes only the fragment. */
export function openLinksWhenTheyCome(): void {
  addEventListener('hashchange', () => {
    if (location.hash.startsWith('#link=')) void openSession();
  });
}

function takeLink(): string | null {
  const link = new URLSearchParams(location.hash.slice(1)).get('link');
  if (location.hash !== '') history.replaceState(null, '', location.pathname + location.search);
  return link === '' ? null : link;
}
