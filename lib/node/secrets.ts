/**
 * Secrets at rest (D36): AES-256-GCM under a key derived from the node's key file for each context, with HKDF-SHA-256.
 *
 *     sealed = version (1 octet) ‖ nonce (12) ‖ ciphertext ‖ tag (16)
 *
 * A context names what the secret is ("key share of session …"): sealed bytes that are moved to another place do not
 * open there. Keys, plaintexts and contexts' keys never leave this module in errors.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { ConclaveError } from '../errors.ts';
import { readSecretFile, type Settings } from './settings.ts';

const KEY_BYTES = 32;
const VERSION = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const CIPHER = 'aes-256-gcm';

export interface Secrets {
  seal(secret: Uint8Array, context: string): Buffer;
  /** @throws Error when it was sealed under another key or for another context, or is damaged */
  open(sealed: Uint8Array, context: string): Buffer;
}

/** @throws ConclaveError `invalid_settings` */
export async function loadSecrets(settings: Settings): Promise<Secrets> {
  const { key_file: file } = settings.key_encryption;
  const key = await readSecretFile(file, 'key_encryption.key_file');
  if (key.length !== KEY_BYTES) {
    const problem = `key_encryption.key_file: ${file} has ${key.length} bytes, not ${KEY_BYTES}; conclave init makes one`;
    throw new ConclaveError('invalid_settings', { problems: [problem] });
  }
  return createSecrets(key);
}

/** `key`: 32 random octets. */
export function createSecrets(key: Uint8Array): Secrets {
  if (key.length !== KEY_BYTES) throw new RangeError(`a key has ${KEY_BYTES} octets`);
  const keyFor = (context: string): Buffer =>
    Buffer.from(
      hkdfSync('sha256', key, Buffer.alloc(0), `conclave secret at rest, version 1: ${context}`, 32),
    );
  return {
    seal(secret, context) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv(CIPHER, keyFor(context), nonce);
      const ciphertext = Buffer.concat([cipher.update(secret), cipher.final()]);
      return Buffer.concat([Buffer.from([VERSION]), nonce, ciphertext, cipher.getAuthTag()]);
    },
    open(sealed, context) {
      const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
      const refuse = (cause?: unknown): Error =>
        new Error(`${context}: it was sealed under another key, for something else, or is damaged`, {
          cause,
        });
      if (bytes.length < 1 + NONCE_BYTES + TAG_BYTES || bytes[0] !== VERSION) throw refuse();
      const nonce = bytes.subarray(1, 1 + NONCE_BYTES);
      const decipher = createDecipheriv(CIPHER, keyFor(context), nonce, { authTagLength: TAG_BYTES });
      decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
      try {
        return Buffer.concat([
          decipher.update(bytes.subarray(1 + NONCE_BYTES, -TAG_BYTES)),
          decipher.final(),
        ]);
      } catch (cause) {
        throw refuse(cause);
      }
    },
  };
}
