/**
 * What the protocol needs of a logger: structured fields and a sentence. pino's loggers fit as they are.
 * Fields carry fingerprints, peer names, codes and counts; never bodies, keys or certificates.
 */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
