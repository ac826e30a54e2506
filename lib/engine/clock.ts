/** Time as the engine sees it: the system's, or a virtual one under test (D60, D64). */
export interface Clock {
  now(): Date;
  /** Calls back once, after so many milliseconds; the answer cancels. */
  after(milliseconds: number, call: () => void): () => void;
  /** Calls back at the end of the current turn of the event loop. */
  soon(call: () => void): void;
}

export const systemClock: Clock = {
  now: () => new Date(),
  after(milliseconds, call) {
    const timer = setTimeout(call, milliseconds);
    return () => clearTimeout(timer);
  },
  soon(call) {
    setImmediate(call);
  },
};
