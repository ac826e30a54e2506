/**
 * Small programs in the place of Verificatum's for whole elections. They refuse arguments other than those documented and
 * answer as Verificatum does, with data that this run's own mix-net made: keys and proofs bind the session's name, which
 * is drawn for each election. `vmn` stands for its whole network: the first to be called works for all the parties.
 *
 *     node stand-in-programs.ts SHARED NAME ARGUMENTS…
 */

import { createHash } from 'node:crypto';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { DirectoryProofFiles } from '../../../lib/mixnet/directory/proof-files.ts';
import {
  parseCiphertexts,
  parsePublicKey,
  writeCiphertexts,
  writePublicKey,
} from '../../../lib/mixnet/formats/external.ts';
import { publicKeyToJson } from '../../../lib/mixnet/formats/public-key-json.ts';
import { groupByDescription } from '../../../lib/mixnet/groups/registry.ts';
import { createPartyKey } from '../../../lib/mixnet/keys/party-key.ts';
import { fromHex } from '../../../lib/mixnet/octets.ts';
import { newProtocolInfo } from '../../../lib/mixnet/session/new-protocol-info.ts';
import {
  mergeProtocolInfo,
  readLocalProtocolInfo,
  readProtocolInfo,
  writeProtocolInfo,
} from '../../../lib/mixnet/session/protocol-info.ts';
import { MixSession } from '../../../lib/mixnet/session/session.ts';
import { verifyProofDirectory } from '../../../lib/mixnet/verifier/proof-directory-verifier.ts';
import { MixnetWorker } from '../../../lib/mixnet/worker/client.ts';

interface Network {
  readonly publicKey: Record<string, string>;
  readonly polynomial: string;
  readonly shares: never[];
}

const [shared = '', name = '', ...args] = process.argv.slice(2);
appendFileSync(join(shared, 'calls'), `${[name, ...args].join(' ')}\n`);

function pattern(wanted: readonly string[]): void {
  const fits = wanted.length === args.length && wanted.every((each, at) => each === '*' || each === args[at]);
  if (fits) return;
  console.log(`usage: ${name} ${wanted.join(' ')}, not ${args.join(' ')}`);
  process.exit(1);
}

const text = (file: string): string => readFileSync(file, 'utf8');
const after = (option: string): string => args[args.indexOf(option) + 1]!;

/** The first caller does the work for all the parties, the others wait for it as programs in a network do. */
async function together(folder: string, work: () => Promise<void>): Promise<void> {
  let first = true;
  try {
    mkdirSync(`${folder}.lock`);
  } catch {
    first = false;
  }
  if (first) {
    await work();
    return;
  }
  for (let waited = 0; !existsSync(folder); waited += 50) {
    if (waited > 20_000) throw new Error('nobody else came');
    await pause(50);
  }
}

async function generateKey(): Promise<void> {
  pattern(['-keygen', 'privInfo.xml', 'protInfo.xml', 'publicKey_raw']);
  if (!text('privInfo.xml').includes('<secret>')) throw new Error('privInfo.xml is not what vmni wrote');
  const info = readProtocolInfo(text('protInfo.xml'));
  const network = join(shared, info.sid);
  await together(network, async () => {
    const worker = new MixnetWorker();
    const parties = info.parties.map(() => createPartyKey(info.sid));
    const group = groupByDescription(info.pgroup).name;
    const partyKeys = parties.map(({ key }) => key);
    const context = { electionId: info.sid, sessionId: info.sid, group, threshold: info.thres, partyKeys };
    const dealings = [];
    for (const [index, { secret }] of parties.entries())
      dealings.push({
        dealer: index + 1,
        ...(await worker.run('deal', { context, dealer: index + 1, secret })),
      });
    const made = [];
    for (const [index, { secret }] of parties.entries())
      made.push(await worker.run('combineDealings', { context, dealings, party: index + 1, secret }));
    await worker.close();
    const { publicKey, polynomial } = made[0]!;
    mkdirSync(`${network}.partial`);
    const kept = { publicKey, polynomial, shares: made.map(({ share }) => share) };
    writeFileSync(join(`${network}.partial`, 'network.json'), JSON.stringify(kept));
    renameSync(`${network}.partial`, network);
  });
  const { publicKey } = JSON.parse(text(join(network, 'network.json'))) as Network;
  const { group, key } = parsePublicKey(Buffer.from(JSON.stringify(publicKey)), 'json');
  writeFileSync('publicKey_raw', writePublicKey(group, key, 'raw'));
}

async function mix(): Promise<void> {
  pattern(['-mix', 'privInfo.xml', 'protInfo.xml', 'ciphertexts_raw', 'plaintexts_raw']);
  if (!text('privInfo.xml').includes('<secret>')) throw new Error('privInfo.xml is not what vmni wrote');
  const protInfo = text('protInfo.xml');
  const info = readProtocolInfo(protInfo);
  const list = createHash('sha256').update(readFileSync('ciphertexts_raw')).digest('hex').slice(0, 16);
  const done = join(shared, info.sid, list);
  await together(done, async () => {
    const { publicKey, polynomial, shares } = JSON.parse(
      text(join(shared, info.sid, 'network.json')),
    ) as Network;
    const worker = new MixnetWorker();
    const at = { protInfo, directory: `${done}.partial` };
    const ciphertexts = { path: 'ciphertexts_raw', format: 'raw' as const };
    await worker.run('beginSession', { ...at, type: 'mixing', publicKey, polynomial, ciphertexts });
    for (let party = 1; party <= info.thres; party += 1)
      await worker.run('shuffle', { ...at, party, from: party - 1 });
    const from = info.thres;
    const active = shares.map((_, index) => index + 1);
    const files = new DirectoryProofFiles(at.directory);
    for (const party of active)
      await worker.run('writeFactors', { ...at, party, from, share: shares[party - 1]! });
    const secrets: string[] = [];
    for (const party of active) {
      const { file, commitment, secret } = await worker.run('commitToFactors', {
        ...at,
        from,
        active,
        party,
      });
      files.write(file, fromHex(commitment)!);
      secrets.push(secret);
    }
    for (const party of active) {
      const given = { ...at, from, active, party, share: shares[party - 1]!, secret: secrets[party - 1]! };
      const { file, reply } = await worker.run('replyToCommitments', given);
      files.write(file, fromHex(reply)!);
    }
    await worker.run('assembleDecryption', { ...at, from, active, correct: active });
    await worker.close();
    renameSync(`${done}.partial`, done);
  });
  mkdirSync('dir/nizkp', { recursive: true });
  cpSync(done, 'dir/nizkp/default', { recursive: true });
  cpSync(join(done, 'Plaintexts.bt'), 'plaintexts_raw');
}

/** What a party is told to do instead, by its address: `fail`, `hang`. */
function misbehave(): string | undefined {
  const told = join(shared, 'misbehaviour.json');
  if (!existsSync(told)) return undefined;
  const { http } = JSON.parse(text('privInfo.xml').replace(/<\/?secret>/g, '')) as { http: string };
  return (JSON.parse(text(told)) as Record<string, string>)[http];
}

async function vmn(): Promise<void> {
  const instead = args[0] === '-delete' ? undefined : misbehave();
  if (instead === 'fail') {
    console.log('Exception in thread "main" java.net.BindException: Address already in use');
    process.exit(1);
  }
  if (instead === 'hang') await pause(60_000);
  if (args[0] === '-delete') {
    pattern(['-delete', '-f', 'privInfo.xml', 'protInfo.xml']);
    rmSync('dir', { recursive: true, force: true });
  } else if (args[0] === '-keygen') await generateKey();
  else await mix();
}

function vmni(): void {
  if (args[0] === '-prot') {
    pattern(['-prot', '-sid', '*', '-name', '*', '-nopart', '*', '-thres', '*', '-pgroup', '*', 'stub.xml']);
    const stub = { sid: after('-sid'), name: after('-name'), partyCount: Number(after('-nopart')) };
    writeFileSync(
      'stub.xml',
      JSON.stringify({ ...stub, threshold: Number(after('-thres')), pgroup: after('-pgroup') }),
    );
  } else if (args[0] === '-party') {
    pattern([
      '-party',
      '-name',
      '*',
      '-http',
      '*',
      '-hint',
      '*',
      'stub.xml',
      'privInfo.xml',
      'localProtInfo.xml',
    ]);
    const { pgroup, ...stub } = JSON.parse(text('stub.xml')) as never as {
      sid: string;
      name: string;
      partyCount: number;
      threshold: number;
      pgroup: string;
    };
    const parties = [{ name: after('-name'), url: after('-http') }];
    const info = newProtocolInfo({ ...stub, group: groupByDescription(pgroup).name, parties });
    const [party] = info.parties;
    const own = { ...info, parties: [{ ...party!, hint: after('-hint') }] };
    writeFileSync('localProtInfo.xml', writeProtocolInfo(own));
    writeFileSync('privInfo.xml', `<secret>${JSON.stringify({ http: after('-http') })}</secret>`);
  } else {
    const locals = args.slice(1, -1);
    pattern(['-merge', ...locals.map(() => '*'), 'protInfo.xml']);
    writeFileSync(
      'protInfo.xml',
      writeProtocolInfo(mergeProtocolInfo(locals.map((each) => readLocalProtocolInfo(text(each))))),
    );
  }
}

function vmnc(): void {
  const info = readProtocolInfo(text('protInfo.xml'));
  if (args[0] === '-pkey') {
    pattern(['-pkey', '-outi', '*', 'protInfo.xml', 'publicKey_raw', '*']);
    const { group, key } = parsePublicKey(readFileSync('publicKey_raw'), 'raw');
    const format = after('-outi') as 'json' | 'native';
    if (format === 'json' && !('p' in publicKeyToJson(group, key))) throw new Error('no JSON of this group');
    writeFileSync(args.at(-1)!, writePublicKey(group, key, format));
  } else {
    pattern(['-ciphs', '-ini', 'json', 'protInfo.xml', 'ciphertexts_json', 'ciphertexts_raw']);
    const { codec } = new MixSession(info, { auxsid: 'default', width: 1 });
    const list = parseCiphertexts(codec, readFileSync('ciphertexts_json'), 'json');
    writeFileSync('ciphertexts_raw', writeCiphertexts(codec, list, 'raw'));
  }
}

function vmnv(): void {
  pattern(['-mix', '-v', 'protInfo.xml', '*']);
  const info = readProtocolInfo(text('protInfo.xml'));
  const { ok } = verifyProofDirectory(new DirectoryProofFiles(args.at(-1)!), info);
  console.log(ok ? 'Completed verification after 0 s' : 'Verify proof ... failed');
}

if (name === 'vmn') await vmn();
else if (name === 'vmni') vmni();
else if (name === 'vmnc') vmnc();
else vmnv();
