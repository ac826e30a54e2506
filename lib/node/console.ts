/** The console's listener: on this machine alone. Where it is, commands read in a file of the private folder. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createConsole } from '../console/server.ts';
import { ConclaveError } from '../errors.ts';
import type { Log } from '../log.ts';
import { VERSION } from '../version.ts';
import type { Assembly } from './assembly.ts';
import { listenOn } from './health.ts';
import { operatorServices } from './operator.ts';
import type { Settings } from './settings.ts';

export interface ConsoleListener {
  readonly address: AddressInfo;
  close(): Promise<void>;
}

const FILE = 'console-address';

/** Null when the settings want none. */
export async function startConsole(parts: Assembly, log: Log): Promise<ConsoleListener | null> {
  const { settings } = parts;
  if (!settings.console.enabled) return null;
  const { host, port } = settings.console;
  let hosts: string[] = [];
  const made = createConsole({
    operator: operatorServices(parts),
    version: VERSION,
    log,
    hosts: () => hosts,
    secure: false,
  });
  const server: Server = createServer({ requestTimeout: 30_000, headersTimeout: 10_000 }, made.app);
  const address = await listenOn(server, port, host);
  hosts = [`127.0.0.1:${address.port}`, `localhost:${address.port}`, `[::1]:${address.port}`];
  const path = join(settings.data_folder, FILE);
  const text = `http://${host === '::1' ? '[::1]' : host}:${address.port}`;
  await writeFile(path, text, { mode: 0o600 });
  return {
    address,
    async close() {
      made.close();
      // Another process of this node may have put its own there.
      if ((await readFile(path, 'utf8').catch(() => '')) === text) await rm(path, { force: true });
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** Where the console of the running node is. @throws ConclaveError that says what to do */
export async function consoleAddress({ data_folder }: Settings): Promise<string> {
  const address = await readFile(join(data_folder, FILE), 'utf8').catch(() => null);
  if (address !== null) return address;
  throw new ConclaveError('usage', { reason: 'no console is running: start the node with conclave start' });
}
