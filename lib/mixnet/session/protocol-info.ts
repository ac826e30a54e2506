/**
 * protInfo.xml: the parameters that all parties of a session agree on (VF 4), read strictly and written canonically.
 *
 * Values go into rho verbatim (VF 5). A value that Verificatum's schema or this implementation does not support is
 * refused by name.
 */
import { hashNameOf } from '../hashing/random-oracle.ts';
import { Refusal } from '../refusal.ts';
import { escapeXml, readXml, type XmlElement } from './xml-reader.ts';

export const verificatumVersion = '3.1.0';

export interface PartyInfo {
  readonly name: string;
  readonly srtbyrole: string;
  readonly descr: string;
  readonly pkey: string;
  readonly http: string;
  readonly hint: string;
}

export interface ProtocolInfo {
  readonly version: string;
  readonly sid: string;
  readonly name: string;
  readonly descr: string;
  /** k and t. */
  readonly nopart: number;
  readonly thres: number;
  /** n_r. */
  readonly statdist: number;
  readonly bullboard: string;
  readonly pgroup: string;
  readonly keywidth: number;
  readonly vbitlen: number;
  /** n_v. */
  readonly vbitlenro: number;
  readonly ebitlen: number;
  /** n_e. */
  readonly ebitlenro: number;
  readonly prg: string;
  readonly rohash: string;
  readonly corr: string;
  readonly width: number;
  readonly maxciph: number;
  readonly parties: readonly PartyInfo[];
}

type Check =
  | { readonly kind: 'text'; readonly pattern: RegExp }
  | { readonly kind: 'int'; readonly from: number; readonly to: number };
type Field = Exclude<keyof ProtocolInfo, 'parties'>;

const text = (pattern: RegExp): Check => ({ kind: 'text', pattern });
const int = (from: number, to: number): Check => ({ kind: 'int', from, to });

/** In the order of the schema. Lower limits of the bit lengths are those that `vmn` itself enforces. */
const fields: readonly (readonly [Field, Check])[] = [
  ['version', text(/^[0-9.]{1,32}$/)],
  ['sid', text(/^[A-Za-z][A-Za-z0-9]{1,1023}$/)],
  ['name', text(/^[A-Za-z][A-Za-z0-9_ -]{1,255}$/)],
  ['descr', text(/^(|[A-Za-z][A-Za-z0-9:;?!.()[\] ]{0,4000})$/)],
  ['nopart', int(1, 24)],
  ['statdist', int(0, 255)],
  ['bullboard', text(/^[A-Za-z0-9_.]{1,256}$/)],
  ['thres', int(1, 24)],
  ['pgroup', text(/^[^<>&]{1,20000}$/)],
  ['keywidth', int(1, 64)],
  ['vbitlen', int(128, 4096)],
  ['vbitlenro', int(256, 4096)],
  ['ebitlen', int(128, 4096)],
  ['ebitlenro', int(256, 4096)],
  ['prg', text(/^SHA-(256|384|512)$/)],
  ['rohash', text(/^SHA-(256|384|512)$/)],
  ['corr', text(/^(noninteractive|interactive)$/)],
  ['width', int(1, 10_000)],
  ['maxciph', int(0, 100_000_000)],
];

const partyFields: readonly (readonly [keyof PartyInfo, RegExp])[] = [
  ['name', /^[A-Za-z][A-Za-z0-9_ -]{1,255}$/],
  ['srtbyrole', /^[A-Za-z0-9_ -]{1,255}$/],
  ['descr', /^(|[A-Za-z][A-Za-z0-9:;?!.()[\] ]{0,4000})$/],
  ['pkey', /^[^<>&]{1,10000}$/],
  ['http', /^[^<>&\s]{1,1000}$/],
  ['hint', /^[^<>&\s]{1,1000}$/],
];

/** Reads a whole protInfo.xml: as many party blocks as `nopart` says. */
export function readProtocolInfo(source: string): ProtocolInfo {
  const info = readDocument(source, 'protInfo.xml');
  if (info.parties.length !== info.nopart) {
    refuse(`nopart is ${info.nopart}, but there are ${info.parties.length} parties`);
  }
  return info;
}

/** Reads a local protocol information file: that of one party. */
export function readLocalProtocolInfo(source: string): ProtocolInfo {
  const info = readDocument(source, 'local protInfo.xml');
  if (info.parties.length !== 1) refuse(`a local file describes one party, not ${info.parties.length}`);
  return info;
}

/** The parties' local files in the order of their indices, into one. All other fields must be equal. */
export function mergeProtocolInfo(locals: readonly ProtocolInfo[]): ProtocolInfo {
  const [first] = locals;
  if (first === undefined || locals.length !== first.nopart) {
    return refuse(`${locals.length} local files for ${first?.nopart ?? 'no'} parties`);
  }
  for (const [field] of fields) {
    const other = locals.findIndex((info) => info[field] !== first[field]);
    if (other !== -1) {
      throw new Refusal(
        'parameters-mismatch',
        `party ${other + 1} has another value of <${field}> than party 1`,
      );
    }
  }
  const parties = locals.flatMap((info) => info.parties);
  if (new Set(parties.map((party) => party.name)).size !== parties.length)
    refuse('two parties have the same name');
  return { ...first, parties };
}

/** Checks the values as the reader does, and writes them. Also writes local files, which hold one party. */
export function writeProtocolInfo(info: ProtocolInfo): string {
  const lines = ['<protocol>'];
  for (const [field] of fields) lines.push(`   <${field}>${escapeXml(String(info[field]))}</${field}>`);
  for (const party of info.parties) {
    lines.push('   <party>');
    for (const [field] of partyFields) lines.push(`      <${field}>${escapeXml(party[field])}</${field}>`);
    lines.push('   </party>');
  }
  lines.push('</protocol>', '');
  const out = lines.join('\n');
  readDocument(out, 'protocol information');
  return out;
}

function readDocument(source: string, what: string): ProtocolInfo {
  const root = readXml(source, what);
  if (root.name !== 'protocol') refuse(`the document element is <${root.name}>, not <protocol>`);
  const head = root.children.slice(0, fields.length);
  const values = Object.fromEntries(
    fields.map(([field, check], i) => [field, fieldValue(head[i], field, check)]),
  ) as unknown as Omit<ProtocolInfo, 'parties'>;
  const info = { ...values, parties: root.children.slice(fields.length).map(readParty) };
  if (info.thres > info.nopart)
    refuse(`the threshold ${info.thres} exceeds the number of parties ${info.nopart}`);
  if (info.version !== verificatumVersion) {
    throw new Refusal(
      'version-mismatch',
      `protInfo.xml is of version ${info.version}, not ${verificatumVersion}`,
    );
  }
  if (info.corr !== 'noninteractive') {
    throw new Refusal(
      'protinfo-unsupported',
      'only the non-interactive (Fiat-Shamir) proofs leave a proof directory',
    );
  }
  hashNameOf(info.prg, 'prg');
  hashNameOf(info.rohash, 'rohash');
  return info;
}

function fieldValue(element: XmlElement | undefined, field: string, check: Check): string | number {
  if (element?.name !== field)
    return refuse(`expected <${field}>, found ${element ? `<${element.name}>` : 'the end'}`);
  if (element.children.length > 0) refuse(`<${field}> has elements inside`);
  if (check.kind === 'text') {
    if (!check.pattern.test(element.text)) refuse(`<${field}> has an invalid value`);
    return element.text;
  }
  const value = Number(element.text);
  if (!/^(0|[1-9][0-9]*)$/.test(element.text) || value < check.from || value > check.to) {
    refuse(`<${field}> must be a whole number from ${check.from} to ${check.to}`);
  }
  return value;
}

function readParty(element: XmlElement): PartyInfo {
  if (element.name !== 'party') refuse(`expected <party>, found <${element.name}>`);
  if (element.children.length !== partyFields.length) refuse('a <party> lacks a field or has one too many');
  return Object.fromEntries(
    partyFields.map(([field, pattern], i) => [field, fieldValue(element.children[i], field, text(pattern))]),
  ) as unknown as PartyInfo;
}

function refuse(message: string): never {
  throw new Refusal('protinfo-malformed', `protInfo.xml: ${message}`);
}
