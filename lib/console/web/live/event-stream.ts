/*
 * Server-sent events over fetch: like EventSource, but it sees the comments that keep a stream alive, the status of a
 * refusal, and says when it will try again. Parses what the standard calls an event stream; knows nothing of the events.
 */

interface StreamEvent {
  readonly type: string;
  readonly data: string;
}

export interface StreamListener {
  readonly opened: () => void;
  readonly event: (event: StreamEvent) => void;
  /** `again` is when the next attempt comes, in milliseconds since 1970. */
  readonly lost: (again: number) => void;
  /** The server refused: there will be no further attempt. */
  readonly refused: (status: number) => void;
}

const SILENCE_MILLISECONDS = 40_000;
const PAUSES_MILLISECONDS = [500, 1_000, 2_000, 4_000, 8_000, 15_000] as const;
const MAX_EVENT_CHARACTERS = 1 << 20;

export class EventStream {
  readonly #url: string;
  readonly #listener: StreamListener;
  #lastEventId = '';
  #failures = 0;
  #closed = false;
  #current: AbortController | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;

  constructor(url: string, listener: StreamListener) {
    this.#url = url;
    this.#listener = listener;
  }

  /** Connects; also at once, when it is waiting for its next attempt. */
  connect(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    if (this.#closed || this.#current !== undefined) return;
    const attempt = new AbortController();
    this.#current = attempt;
    this.#read(attempt).then(
      () => this.#ended(attempt),
      () => this.#ended(attempt),
    );
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#current?.abort();
  }

  async #read(attempt: AbortController): Promise<void> {
    const headers: Record<string, string> = { Accept: 'text/event-stream' };
    if (this.#lastEventId !== '') headers['Last-Event-ID'] = this.#lastEventId;
    let silence = setTimeout(() => attempt.abort(), SILENCE_MILLISECONDS);
    try {
      const response = await fetch(this.#url, {
        headers,
        cache: 'no-store',
        credentials: 'same-origin',
        signal: attempt.signal,
      });
      if (response.status >= 400 && response.status < 500) {
        this.#closed = true;
        this.#listener.refused(response.status);
      }
      if (!response.ok || response.body === null) return;
      this.#failures = 0;
      this.#listener.opened();
      const parser = new EventParser((event, id) => {
        if (id !== undefined) this.#lastEventId = id;
        if (event !== undefined) this.#listener.event(event);
      });
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        clearTimeout(silence);
        silence = setTimeout(() => attempt.abort(), SILENCE_MILLISECONDS);
        parser.add(value);
      }
    } finally {
      clearTimeout(silence);
    }
  }

  #ended(attempt: AbortController): void {
    if (this.#current !== attempt) return;
    this.#current = undefined;
    if (this.#closed) return;
    const pause = PAUSES_MILLISECONDS[Math.min(this.#failures, PAUSES_MILLISECONDS.length - 1)]!;
    this.#failures += 1;
    // Many consoles must not all come back at the same moment.
    const wait = pause * (0.75 + Math.random() / 2);
    this.#retry = setTimeout(() => this.connect(), wait);
    this.#listener.lost(Date.now() + wait);
  }
}

/** Calls back at each empty line that ends an event; `id` is undefined where the event had none. */
export class EventParser {
  readonly #found: (event: StreamEvent | undefined, id: string | undefined) => void;
  #rest = '';
  #type = '';
  #data: string[] = [];
  #id: string | undefined;

  constructor(found: (event: StreamEvent | undefined, id: string | undefined) => void) {
    this.#found = found;
  }

  add(text: string): void {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? '';
    if (this.#rest.length > MAX_EVENT_CHARACTERS) throw new Error('an event is too long');
    for (const line of lines) this.#line(line);
  }

  #line(line: string): void {
    if (line === '') {
      this.#dispatch();
      return;
    }
    if (line.startsWith(':')) return;
    const colon = line.indexOf(':');
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') this.#type = value;
    else if (field === 'data') this.#data.push(value);
    else if (field === 'id' && !value.includes('\0')) this.#id = value;
  }

  #dispatch(): void {
    const event =
      this.#data.length === 0
        ? undefined
        : { type: this.#type === '' ? 'message' : this.#type, data: this.#data.join('\n') };
    if (event !== undefined || this.#id !== undefined) this.#found(event, this.#id);
    this.#type = '';
    this.#data = [];
    this.#id = undefined;
  }
}
