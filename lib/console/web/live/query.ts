/*
 * What a component shows of the node: asked for when it appears, and again when an event says that it may have changed
 * or the connection is back. What was there stays in view meanwhile. At most one request of each is under way.
 */
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { type AnswerOf, type Endpoint, RequestFailed, type RequestOf, request } from './api.ts';
import { type LiveEvent, onLiveEvent } from './connection.ts';

export interface Answer<Data> {
  /** Undefined until the first answer. */
  readonly data: Data | undefined;
  readonly error: RequestFailed | undefined;
  readonly refresh: () => void;
  /** Shows what an action has answered, without asking again. */
  readonly show: (data: Data) => void;
}

type Concerns = (event: LiveEvent) => boolean;

/** Whether something must be asked for again whatever it is. */
export function isFreshStart({ type }: LiveEvent): boolean {
  return type === 'reset' || type === 'hello';
}

/**
 * @param given null: nothing is to be asked for yet
 * @param concerns events after which it is asked for again; those of a fresh start always do
 */
export function useQuery<E extends Endpoint>(
  endpoint: E,
  given: RequestOf<E> | null,
  concerns: Concerns = () => false,
): Answer<AnswerOf<E>> {
  const key = given === null ? null : JSON.stringify([endpoint, given]);
  const [shown, setShown] = useState<{ key: string; data?: AnswerOf<E>; error?: RequestFailed }>();
  const interest = useRef(concerns);
  interest.current = concerns;
  const refresher = useRef(() => {});

  useEffect(() => {
    if (key === null || given === null) return;
    const abort = new AbortController();
    const refresh = repeatable(async () => {
      try {
        const data = await request(endpoint, given, abort.signal);
        setShown({ key, data });
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
  const show = useCallback((data: AnswerOf<E>) => key !== null && setShown({ key, data }), [key]);
  const current = shown?.key === key ? shown : undefined;
  return { data: current?.data, error: current?.error, refresh, show };
}

/** Events come in bursts: this long passes between two requests of one thing. */
const PAUSE_MILLISECONDS = 250;

/** Runs once more, after a pause, when it was called during a run, however often. */
export function repeatable(work: () => Promise<void>): () => void {
  let running = false;
  let again = false;
  const run = async (): Promise<void> => {
    running = true;
    do {
      again = false;
      await work();
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MILLISECONDS));
    } while (again);
    running = false;
  };
  return () => {
    if (running) again = true;
    else void run();
  };
}

export function asFailure(error: unknown): RequestFailed {
  return error instanceof RequestFailed ? error : new RequestFailed('unknown', 0, String(error));
}
