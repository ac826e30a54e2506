/*
 * Where in the console the reader is: the path of the address, so that every page can be linked, reloaded and gone back
 * from. Knows paths, not pages. Follows ordinary links to this origin without loading the page again.
 */
import { computed, signal } from '@preact/signals';

interface Place {
  /** Decoded parts of the path; `[]` is the first page. */
  readonly path: readonly string[];
  readonly query: URLSearchParams;
}

export type Query = Readonly<Record<string, string>>;

const address = signal(location.pathname + location.search);

export const place = computed<Place>(() => parse(address.value));

/** The address of a page; every part is escaped. Empty values of the query are left out. */
export function linkTo(path: readonly string[], query: Query = {}): string {
  const text = `/${path.map(encodeURIComponent).join('/')}`;
  const given = Object.entries(query).filter(([, value]) => value !== '');
  return given.length === 0 ? text : `${text}?${new URLSearchParams(given)}`;
}

export function go(target: string): void {
  if (target !== address.value) history.pushState(null, '', target);
  address.value = target;
}

/** Changes the address without a step in the history: for filters while somebody types. */
export function replaceQuery(query: Query): void {
  const target = linkTo(place.value.path, query);
  history.replaceState(null, '', target);
  address.value = target;
}

export function followLinks(): void {
  addEventListener('popstate', () => {
    address.value = location.pathname + location.search;
  });
  document.addEventListener('click', (event) => {
    const link = event.target instanceof Element ? event.target.closest('a') : null;
    if (link === null || !isOurs(link, event)) return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
}

/** A plain click on a link to another page of the console, not to a file, a place on this page, or elsewhere. */
function isOurs(link: HTMLAnchorElement, event: MouseEvent): boolean {
  const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  const here = link.origin === location.origin && link.target === '' && !link.hasAttribute('download');
  const toPage = !link.pathname.startsWith('/api/') && link.hash === '';
  return plain && !event.defaultPrevented && here && toPage;
}

function parse(text: string): Place {
  const [path = '', query = ''] = text.split('?', 2);
  return { path: path.split('/').filter(Boolean).map(decode), query: new URLSearchParams(query) };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
