/**
 * Makes a node: a folder with settings, a certificate with its key, and the key that encrypts secrets at rest. Never
 * overwrites anything.
 */
import { randomBytes } from 'node:crypto';
import { access, chmod, mkdir, open } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ConclaveError } from '../errors.ts';
import { createNodeCertificate, type KeyType, writeNodeCertificate } from './certificates.ts';
import { parseSettings } from './settings.ts';

export interface NewNode {
  readonly folder: string;
  readonly name: string;
  /** Root URL of its queues. */
  readonly url: string;
  readonly keyType?: KeyType | undefined;
  readonly days?: number | undefined;
  /** Address on which the federation port listens. */
  readonly host?: string | undefined;
  readonly healthPort?: number | undefined;
  /** Further settings, as in the file. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

export interface MadeNode {
  readonly name: string;
  readonly url: string;
  readonly folder: string;
  readonly settings: string;
  readonly fingerprint: string;
}

/** @throws ConclaveError `usage`, `invalid_settings`, `invalid_request` */
export async function makeNode(node: NewNode): Promise<MadeNode> {
  const folder = resolve(node.folder);
  const file = join(folder, 'conclave.json');
  const { hostname, port } = new URL(node.url);
  const settings = {
    name: node.name,
    root_url: node.url,
    public_url: `${new URL(node.url).origin}/public_data`,
    listen: {
      federation: { host: node.host ?? '0.0.0.0', port: port === '' ? 443 : Number(port) },
      health: { host: '127.0.0.1', port: node.healthPort ?? 5001 },
    },
    ...node.settings,
  };
  const parsed = parseSettings(settings, file, {});
  if (await exists(file)) {
    throw new ConclaveError('usage', {
      reason: `${file} exists already: choose another folder, or remove it`,
    });
  }
  await mkdir(folder, { recursive: true, mode: 0o711 });
  const host = hostname.replace(/^\[|\]$/g, '');
  const made = await createNodeCertificate({
    name: node.name,
    hosts: [host],
    keyType: node.keyType,
    validityDays: node.days,
  });
  await writeNodeCertificate(made, parsed.tls);
  await writeNew(parsed.key_encryption.key_file, randomBytes(32), 0o600);
  await mkdir(parsed.data_folder, { recursive: true, mode: 0o700 });
  await chmod(parsed.data_folder, 0o700);
  await mkdir(parsed.public_folder, { recursive: true });
  // Last: a folder with settings is a complete one.
  await writeNew(file, `${JSON.stringify(settings, null, 2)}\n`, 0o644);
  return { name: node.name, url: node.url, folder, settings: file, fingerprint: made.fingerprint };
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}

async function writeNew(path: string, contents: string | Uint8Array, mode: number): Promise<void> {
  const file = await open(path, 'wx', mode).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
    throw new ConclaveError('usage', { reason: `${path} exists already, and is not overwritten` });
  });
  try {
    await file.chmod(mode);
    await file.writeFile(contents);
    await file.sync();
  } finally {
    await file.close();
  }
}
