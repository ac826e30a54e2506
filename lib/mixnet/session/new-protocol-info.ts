/** Protocol information for a session of ours, with Verificatum's defaults for all that it does not choose (VF 4). */
import { groupByName } from '../groups/registry.ts';
import { type PartyInfo, type ProtocolInfo, verificatumVersion } from './protocol-info.ts';

export interface NewSession {
  /** Unique for every key: letters and digits, beginning with a letter. It separates all hashes of the session. */
  readonly sid: string;
  /** Short name: letters, digits, space, `_`, `-`. */
  readonly name: string;
  readonly group: string;
  readonly threshold: number;
  readonly width?: number;
  readonly keyWidth?: number;
  /** In the order of the party indices. One party makes a local file, to be merged. */
  readonly parties: readonly { readonly name: string; readonly url: string }[];
  /** Number of parties, if `parties` holds only one of them. */
  readonly partyCount?: number;
}

export function newProtocolInfo(session: NewSession): ProtocolInfo {
  return {
    version: verificatumVersion,
    sid: session.sid,
    name: session.name,
    descr: '',
    nopart: session.partyCount ?? session.parties.length,
    statdist: 100,
    bullboard: 'com.verificatum.protocol.com.BullBoardBasicHTTPW',
    thres: session.threshold,
    pgroup: groupByName(session.group).description,
    keywidth: session.keyWidth ?? 1,
    vbitlen: 128,
    vbitlenro: 256,
    ebitlen: 128,
    ebitlenro: 256,
    prg: 'SHA-256',
    rohash: 'SHA-256',
    corr: 'noninteractive',
    width: session.width ?? 1,
    maxciph: 0,
    parties: session.parties.map(partyInfo),
  };
}

/** Keys and hints are Verificatum's own network's; ours has another, and its verifier reads neither. */
function partyInfo({ name, url }: { readonly name: string; readonly url: string }): PartyInfo {
  return { name, srtbyrole: 'anyrole', descr: '', pkey: 'none', http: url, hint: new URL(url).host };
}
