/**
 * The parameters of a session's mix-net, derived by every authority from the approved request alone, so that nobody has
 * to be believed: protInfo.xml (VF 4), and the context of its key generation.
 */

import { ConclaveError } from '../../lib/errors.ts';
import { groupByName } from '../../lib/mixnet/groups/registry.ts';
import type { PartyKey } from '../../lib/mixnet/keys/party-key.ts';
import {
  type ProtocolInfo,
  verificatumVersion,
  writeProtocolInfo,
} from '../../lib/mixnet/session/protocol-info.ts';
import type { KeyContextParameters } from '../../lib/mixnet/worker/parameters.ts';
import type { AuthorityRecord, ElectionRecord } from './records.ts';

/** EO-21: `<question>-<uuid>`. */
export const SESSION_ID = /^(\d{1,3})-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** Verificatum's `sid` has letters and digits only (VF 4). */
export function sidOf(sessionId: string): string {
  return `Session${sessionId.replaceAll('-', '')}`;
}

export function keyContextOf(
  election: ElectionRecord,
  sessionId: string,
  partyKeys: readonly PartyKey[],
): KeyContextParameters {
  return {
    electionId: election.key,
    sessionId,
    group: election.group,
    threshold: election.threshold,
    partyKeys,
  };
}

/** What an election says of a session, apart from its parties: all values that the proofs depend on. */
export function protocolParametersOf(
  election: Pick<ElectionRecord, 'threshold' | 'group'>,
  parties: number,
  sessionId: string,
): Omit<ProtocolInfo, 'parties'> {
  return {
    version: verificatumVersion,
    sid: sidOf(sessionId),
    name: 'Conclave election',
    descr: '',
    nopart: parties,
    statdist: 100,
    bullboard: 'com.verificatum.protocol.com.BullBoardBasicHTTPW',
    thres: election.threshold,
    pgroup: groupByName(election.group).description,
    keywidth: 1,
    vbitlen: 128,
    vbitlenro: 256,
    ebitlen: 128,
    ebitlenro: 256,
    prg: 'SHA-256',
    rohash: 'SHA-256',
    corr: 'noninteractive',
    width: 1,
    maxciph: 0,
  };
}

export function partyNameOf(position: number): string {
  return `Authority${String(position).padStart(2, '0')}`;
}

/** protInfo.xml of a session. @throws ConclaveError `election_not_ready` when the party keys are not known yet */
export function protocolInfoOf(
  election: Pick<ElectionRecord, 'key' | 'threshold' | 'group'>,
  authorities: readonly Pick<AuthorityRecord, 'position' | 'url' | 'partyKey'>[],
  sessionId: string,
): string {
  const parties = authorities.map((authority) => partyOf(election, authority));
  return writeProtocolInfo({ ...protocolParametersOf(election, parties.length, sessionId), parties });
}

function partyOf(
  election: Pick<ElectionRecord, 'key'>,
  { position, url, partyKey }: Pick<AuthorityRecord, 'position' | 'url' | 'partyKey'>,
) {
  if (partyKey === null) throw new ConclaveError('election_not_ready', { electionId: election.key });
  const { origin, host } = new URL(url);
  return {
    name: partyNameOf(position),
    srtbyrole: 'anyrole',
    descr: '',
    pkey: `Ed25519 ${partyKey.signing} P-256 ${partyKey.encryption}`,
    http: origin,
    hint: host,
  };
}
