/**
 * `conclave evidence export ELECTION` and `check FILE…`: what directors have ordered, signed by them, for whoever is to
 * judge; and the judgement, which needs no node and believes nobody.
 */
import { readFile, writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { isElectionId } from '../../tasks/election/election.ts';
import {
  type Contradiction,
  contradictions,
  evidenceText,
  ordersOf,
  readEvidence,
  type SignedOrder,
  signerOf,
} from '../../tasks/election/orders.ts';
import { ConclaveError, reasonOf } from '../errors.ts';
import { fingerprintWords } from '../protocol/fingerprint-words.ts';
import { type GlobalOptions, settingsOf } from './node-access.ts';
import { EXIT, type ExitCode, UsageError } from './outcome.ts';
import { harmless, type Terminal } from './terminal.ts';

export function addEvidence(program: Command, terminal: Terminal, ended: (code: ExitCode) => void): void {
  const evidence = program.command('evidence').description('what directors have ordered, signed by them');
  evidence
    .command('export')
    .argument('<election>', 'id of the election')
    .description('print the signed orders about an election that this authority was given')
    .option('--out <file>', 'write them to a file instead')
    .action(async (id: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<GlobalOptions & { out?: string }>();
      if (!isElectionId(id) && !isElectionId(Number(id)))
        throw new UsageError(`${id} is no id of an election`);
      const { data_folder: privateFolder } = await settingsOf(options, terminal);
      const orders = await ordersOf({ privateFolder }, id);
      if (orders.length === 0) throw new ConclaveError('election_not_found', { electionId: id });
      if (options.out === undefined) terminal.out(evidenceText(orders).trimEnd());
      else await writeFile(options.out, evidenceText(orders), { flag: 'wx' });
    });
  evidence
    .command('check')
    .argument('<file...>', 'what authorities have exported')
    .description(
      'tell whether a director has ordered different things of different authorities; no node is needed',
    )
    .addHelpText(
      'after',
      '\nExit code: 0 somebody has, 1 nothing shows it, 2 a file is not what it says it is.',
    )
    .action(async (files: string[], _: unknown, command: Command) => {
      const { json } = command.optsWithGlobals<GlobalOptions>();
      const orders = await readAll(files);
      const found = contradictions(orders);
      if (json) terminal.out(JSON.stringify({ orders: orders.length, contradictions: found }, null, 2));
      else print(orders, found, terminal);
      ended(found.length > 0 ? EXIT.ok : EXIT.failure);
    });
}

async function readAll(files: readonly string[]): Promise<SignedOrder[]> {
  const orders: SignedOrder[] = [];
  for (const file of files) {
    try {
      orders.push(...readEvidence(await readFile(file)));
    } catch (thrown) {
      throw new UsageError(`${file}: ${reasonOf(thrown)}`);
    }
  }
  return orders;
}

function print(orders: readonly SignedOrder[], found: readonly Contradiction[], terminal: Terminal): void {
  terminal.out(`${orders.length} orders, each signed with the key of its certificate.`);
  for (const { signer, about, orders: pair } of found) {
    terminal.out(`\nTwo different orders about ${harmless(about)}, signed with one certificate:`);
    terminal.out(`  SHA-256 ${signer}\n  ${fingerprintWords(signer).join(' ')}`);
    for (const { order } of pair) terminal.out(`  ${harmless(JSON.stringify(order))}`);
  }
  terminal.out(
    found.length === 0
      ? 'No two of them contradict each other.'
      : '\nCompare the fingerprint with the one that you know of the director: whoever has that key has signed both.',
  );
  // Whose certificates they are nobody can know from the file.
  const signers = [...new Set(orders.map(signerOf))];
  if (found.length === 0) for (const signer of signers) terminal.out(`Signed by: ${signer}`);
}
