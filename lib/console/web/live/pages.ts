/*
 * A list that the node gives page by page, newest first: shows what was asked for so far, asks for all of it again when
 * something may have changed, and for more when the reader wants more.
 */
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import type { Page } from '../../../operator/views.ts';
import { type AnswerOf, type Endpoint, type RequestFailed, type RequestOf, request } from './api.ts';
import { type LiveEvent, onLiveEvent } from './connection.ts';
import { asFailure, isFreshStart, repeatable } from './query.ts';

type PagedEndpoint = {
  [E in Endpoint]: AnswerOf<E> extends Page<unknown> ? E : never;
}[Endpoint];
type ItemOf<E extends PagedEndpoint> = AnswerOf<E> extends Page<infer Item> ? Item : never;

const PAGE = 50;
const LARGEST_PAGE = 500;

export interface List<Item> {
  readonly items: readonly Item[] | undefined;
  readonly error: RequestFailed | undefined;
  /** There is more than is shown. */
  readonly more: boolean;
  readonly loadMore: () => void;
  readonly refresh: () => void;
}

export function usePages<E extends PagedEndpoint>(
  endpoint: E,
  given: RequestOf<E>,
  concerns: (event: LiveEvent) => boolean,
): List<ItemOf<E>> {
  const key = JSON.stringify([endpoint, given]);
  const [shown, setShown] = useState<{
    key: string;
    items?: readonly ItemOf<E>[];
    more?: boolean;
    error?: RequestFailed;
  }>();
  const wanted = useRef(PAGE);
  const interest = useRef(concerns);
  interest.current = concerns;
  const refresher = useRef(() => {});

  useEffect(() => {
    wanted.current = PAGE;
    const abort = new AbortController();
    const refresh = repeatable(async () => {
      try {
        const found = await collect(endpoint, given, wanted.current, abort.signal);
        setShown({ key, ...found });
      } catch (error) {
        if (abort.signal.aborted) return;
        const failure = asFailure(error);
        setShown((before) => ({ ...(before?.key === key ? before : { key }), error: failure }));
      }
    });
    refresher.current = refresh;
    refresh();
    const stop = onLiveEvent((event) => {
      if (isFreshStart(event) || interest.current(event)) refresh();
    });
    return () => {
      stop();
      abort.abort();
    };
  }, [key]);

  const refresh = useCallback(() => refresher.current(), []);
  const loadMore = useCallback(() => {
    wanted.current += PAGE;
    refresher.current();
  }, []);
  const current = shown?.key === key ? shown : undefined;
  return {
    items: current?.items,
    error: current?.error,
    more: current?.more ?? false,
    loadMore,
    refresh,
  };
}

async function collect<E extends PagedEndpoint>(
  endpoint: E,
  given: RequestOf<E>,
  wanted: number,
  signal: AbortSignal,
): Promise<{ items: ItemOf<E>[]; more: boolean }> {
  const items: ItemOf<E>[] = [];
  let after: string | null = null;
  do {
    const limit = Math.min(LARGEST_PAGE, wanted - items.length);
    const query = { ...(given.query as object | undefined), limit, ...(after === null ? {} : { after }) };
    const page: Page<unknown> = await request(endpoint, { ...given, query } as RequestOf<E>, signal);
    items.push(...(page.items as ItemOf<E>[]));
    after = page.next;
  } while (after !== null && items.length < wanted);
  return { items, more: after !== null };
}
