/** `conclave log export FILE`: writes this node's log, or an election's part of it, for whoever checks it (D24). */
import { resolve } from 'node:path';
import { writeExport } from '../audit/export-file.ts';
import { reasonOf } from '../errors.ts';
import { loadIdentity } from '../node/identity.ts';
import { exportRecords } from '../store/audit-export.ts';
import { type GlobalOptions, withDatabase } from './node-access.ts';
import { CommandFailed, UsageError } from './outcome.ts';
import { harmless, type Terminal } from './terminal.ts';

export interface LogExportOptions extends GlobalOptions {
  election?: string;
  from?: number;
  to?: number;
}

export async function exportLog(file: string, options: LogExportOptions, terminal: Terminal): Promise<void> {
  const { election, from = 1, to } = options;
  if (from < 1) throw new UsageError('--from must be at least 1');
  if (to !== undefined && to < from) throw new UsageError('--to must not be less than --from');
  await withDatabase(options, terminal, async ({ knex }, settings) => {
    const { fingerprint, certificate: pem, sign } = await loadIdentity(settings);
    const { root_url: node, name } = settings;
    if (election !== undefined && (await knex('elections').where({ key: election }).first()) === undefined)
      throw new CommandFailed(`there is no election with id ${election} here`);
    const certificate = { fingerprint, pem };
    const records = exportRecords(knex, { node, name, certificate, now: new Date(), from, to, election });
    const path = resolve(file);
    const lines = await writeExport(path, node, records, { certificate: fingerprint, sign }).catch(
      (thrown: NodeJS.ErrnoException) => {
        if (thrown.code === 'EEXIST') throw new CommandFailed(`there is a file ${path} already`);
        if (thrown.syscall !== undefined)
          throw new CommandFailed(`${path} cannot be written: ${reasonOf(thrown)}`);
        throw thrown;
      },
    );
    if (options.json) terminal.out(JSON.stringify({ file: path, lines, node, certificate: fingerprint }));
    else terminal.out(harmless(`${path}: ${lines} lines, signed with the certificate ${fingerprint}`));
  });
}
