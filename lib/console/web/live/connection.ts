/*
 * The one connection over which the node says what has changed, and who wants to hear of it. Whoever shows something
 * asks for it again; nothing here keeps what it hears.
 */
import { signal } from '@preact/signals';
import type { ConsoleEvents } from '../../contract.ts';
import { EventStream } from './event-stream.ts';

export type LiveEvent = {
  [Type in keyof ConsoleEvents]: { readonly type: Type; readonly data: ConsoleEvents[Type] };
}[keyof ConsoleEvents];

export type Connection =
  | { readonly state: 'connecting' | 'open' }
  /** `again`: when the next attempt comes, in milliseconds since 1970. */
  | { readonly state: 'lost'; readonly since: number; readonly again: number };

export const connection = signal<Connection>({ state: 'connecting' });

type Listener = (event: LiveEvent) => void;
const listeners = new Set<Listener>();
let stream: EventStream | undefined;

/** Answers with the function that ends it. */
export function onLiveEvent(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** @param refused the session has ended */
export function openConnection(refused: () => void): void {
  stream?.close();
  connection.value = { state: 'connecting' };
  stream = new EventStream('/api/events', {
    opened: () => {
      connection.value = { state: 'open' };
    },
    event: ({ type, data }) => tell({ type, data: JSON.parse(data) } as LiveEvent),
    lost: (again) => {
      const { value } = connection;
      connection.value = { state: 'lost', since: value.state === 'lost' ? value.since : Date.now(), again };
    },
    refused,
  });
  stream.connect();
}

export function closeConnection(): void {
  stream?.close();
  stream = undefined;
}

export function reconnectNow(): void {
  stream?.connect();
}

/** A machine that wakes up or comes back to the network need not wait for the next attempt. */
export function reconnectWhenBack(): void {
  addEventListener('online', reconnectNow);
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') reconnectNow();
  });
}

function tell(event: LiveEvent): void {
  for (const listener of listeners) listener(event);
}
