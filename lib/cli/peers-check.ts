/**
 * `conclave peers check`: connects to each peer as the node would, and says what is wrong at which end. Most trouble of
 * federations is here: addresses, certificates, a file that one side forgot to add.
 */
import { reasonOf } from '../errors.ts';
import { loadIdentity } from '../node/identity.ts';
import { type Answer, FederationClient, type ReachablePeer, RequestFailed } from '../protocol/client.ts';
import type { Peer } from '../protocol/peers.ts';
import { type GlobalOptions, withPeers } from './node-access.ts';
import { table } from './table.ts';
import { harmless, type Terminal } from './terminal.ts';

interface Finding {
  readonly peer: string;
  readonly ok: boolean;
  readonly state: string;
  /** What to do; empty when all is well. */
  readonly advice: string;
  readonly milliseconds: number | null;
}

const SOON_MILLISECONDS = 30 * 86_400_000;

/** @returns whether every peer answered as it should */
export async function checkPeers(
  names: readonly string[],
  options: GlobalOptions,
  terminal: Terminal,
): Promise<boolean> {
  return await withPeers(options, terminal, async (peers, settings) => {
    const chosen = names.length === 0 ? peers.list() : names.map((name) => peers.find(name));
    const client = new FederationClient({ identity: await loadIdentity(settings) });
    const findings = await Promise.all(chosen.map((peer) => check(peer, client))).finally(() =>
      client.close(),
    );
    if (options.json) terminal.out(JSON.stringify(findings, null, 2));
    else print(findings, terminal);
    return findings.every(({ ok }) => ok);
  });
}

function print(findings: readonly Finding[], terminal: Terminal): void {
  const rows = findings.map(({ peer, ok, state, milliseconds }) => [
    peer,
    ok ? 'ok' : 'PROBLEM',
    state,
    milliseconds === null ? '' : `${milliseconds} ms`,
  ]);
  terminal.out(table(['peer', '', 'state', 'time'], rows));
  for (const { peer, advice } of findings) if (advice !== '') terminal.out(harmless(`${peer}: ${advice}`));
}

async function check(peer: Peer, client: FederationClient): Promise<Finding> {
  if (peer.url === null || !peer.roles.includes('authority')) {
    return {
      peer: peer.name,
      ok: true,
      state: 'no authority: it calls us',
      advice: expiring(peer),
      milliseconds: null,
    };
  }
  const started = performance.now();
  const passed = (): number => Math.round(performance.now() - started);
  try {
    const answer = await client.askIdentity(peer as ReachablePeer, AbortSignal.timeout(15_000));
    return { peer: peer.name, milliseconds: passed(), ...judge(answer, peer) };
  } catch (thrown) {
    const code = thrown instanceof RequestFailed ? thrown.code : '';
    const advice =
      code === 'peer_certificate_mismatch'
        ? 'another server answers there, or the peer has a new certificate: conclave peers rotate NAME FILE'
        : 'is the address right, does the node run, does a firewall let us pass?';
    return { peer: peer.name, ok: false, state: reasonOf(thrown), advice, milliseconds: null };
  }
}

function judge({ status, code, body, text }: Answer, peer: Peer): Omit<Finding, 'peer' | 'milliseconds'> {
  if (status === 200) {
    const { name, version } = (body ?? {}) as { name?: unknown; version?: unknown };
    return { ok: true, state: `node ${String(name)}, version ${String(version)}`, advice: expiring(peer) };
  }
  if (code === 'unknown_certificate' || code === 'certificate_required') {
    const advice = 'it does not know our certificate: send its operator our file (conclave peers export)';
    return { ok: false, state: 'it refuses us', advice };
  }
  if (status === 404 && code === null) {
    return { ok: true, state: 'it answers, as a node of the original system does', advice: expiring(peer) };
  }
  return { ok: false, state: `it answered ${status}: ${text}`, advice: 'its log says more' };
}

function expiring({ certificates }: Peer): string {
  const end = Math.max(...certificates.map(({ not_after }) => Date.parse(not_after)));
  if (end > Date.now() + SOON_MILLISECONDS) return '';
  return `its certificate ends on ${new Date(end).toISOString().slice(0, 10)}: ask for a new one`;
}
