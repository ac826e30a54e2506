/**
 * Where this node may go when somebody else names a URL (D25): `callback_url`, `votes_url`, bulk data. Decides from the
 * URL and from the addresses that its host has at this moment; connects nowhere.
 *
 * A request from outside must not become a request from inside. An address is allowed when a listed network contains it;
 * or when it is public and its host is listed by name; or when it is this machine's and `allowLoopback` is set. A name
 * alone never opens a private address, because whoever answers for the name chooses the address. Link-local addresses,
 * the metadata services of clouds, multicast and reserved addresses are never allowed.
 */
import { BlockList, isIP } from 'node:net';

import { ConclaveError } from '../errors.ts';

export interface OutgoingPolicy {
  /** Exact host names (`votes.example.org`), addresses, or networks (`10.1.0.0/16`). */
  allowed: readonly string[];
  /** This machine itself. */
  allowLoopback: boolean;
}

export interface ResolvedAddress {
  address: string;
  family: 4 | 6;
}

export type AddressKind = 'public' | 'private' | 'loopback' | 'never';

const MAX_URL_LENGTH = 2048;

function networks(...list: readonly string[]): BlockList {
  const block = new BlockList();
  for (const network of list) addNetwork(block, network);
  return block;
}

function addNetwork(block: BlockList, network: string): void {
  const [address, prefix] = network.split('/') as [string, string | undefined];
  const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
  block.addSubnet(address, prefix === undefined ? (family === 'ipv6' ? 128 : 32) : Number(prefix), family);
}

const LOOPBACK = networks('127.0.0.0/8', '::1');

/** RFC 1918, RFC 6598 (carriers' networks), RFC 4193. */
const PRIVATE = networks('10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', 'fc00::/7');

/** The IANA special-purpose registries, and addresses under which clouds answer with credentials. */
const NEVER = networks(
  '0.0.0.0/8',
  '169.254.0.0/16',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
  '100.100.100.200',
  '168.63.129.16',
  'fd00:ec2::254',
  'fd20:ce::254',
);
const NEVER_V6 = networks('fe80::/10', 'fec0::/10', 'ff00::/8');

/** Of IPv6, only 2000::/3 is handed out as public; parts of that lead elsewhere (IPv4 in disguise, documentation). */
const PUBLIC_V6 = networks('2000::/3');
const DISGUISED_V6 = networks('2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20');

export function kindOfAddress(address: string): AddressKind {
  const plain = withoutDisguise(address);
  const version = isIP(plain);
  if (version === 0) return 'never';
  const family = version === 6 ? 'ipv6' : 'ipv4';
  if (NEVER.check(plain, family) || NEVER_V6.check(plain, family)) return 'never';
  if (LOOPBACK.check(plain, family)) return 'loopback';
  if (PRIVATE.check(plain, family)) return 'private';
  if (family === 'ipv4') return 'public';
  return PUBLIC_V6.check(plain, family) && !DISGUISED_V6.check(plain, family) ? 'public' : 'never';
}

/** An IPv4 address that is written as an IPv6 one (`::ffff:127.0.0.1`) in its own form; others as they are. */
function withoutDisguise(address: string): string {
  if (isIP(address) !== 6) return address;
  const host = new URL(`http://[${address.split('%')[0]}]/`).hostname;
  const mapped = /^\[::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/.exec(host);
  if (mapped === null) return host.slice(1, -1);
  const [high, low] = [Number.parseInt(mapped[1]!, 16), Number.parseInt(mapped[2]!, 16)];
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.');
}

/** The URL, when its form is acceptable. Throws `outgoing_refused` that says what is wrong with it. */
export function acceptableUrl(text: string): URL {
  const url = text.length > MAX_URL_LENGTH ? null : URL.parse(text);
  if (url === null) throw refused(text.slice(0, 100), 'it is not a URL');
  if (url.protocol !== 'https:') throw refused(shown(url), 'only https:// is allowed');
  if (url.username !== '' || url.password !== '') throw refused(shown(url), 'it has a user or password');
  return url;
}

/** The URL without what may be secret in it. */
export function shown(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`;
}

/** The host as it is resolved: an IPv6 address without its brackets. */
export function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '');
}

/** Throws `outgoing_refused` unless every address of the host may be connected to. */
export function checkAddresses(
  url: URL,
  addresses: readonly ResolvedAddress[],
  policy: OutgoingPolicy,
): void {
  if (addresses.length === 0) throw refused(shown(url), 'its host has no address');
  const listed = new BlockList();
  const names = new Set<string>();
  for (const entry of policy.allowed) {
    if (isIP(entry.split('/')[0]!) !== 0) addNetwork(listed, entry);
    else names.add(entry.toLowerCase().replace(/\.$/, ''));
  }
  const named = names.has(hostOf(url).replace(/\.$/, ''));
  for (const { address } of addresses) {
    const plain = withoutDisguise(address);
    const kind = kindOfAddress(address);
    if (kind === 'never')
      throw refused(shown(url), `its host has the address ${address}, which is never allowed`);
    if (listed.check(plain, isIP(plain) === 6 ? 'ipv6' : 'ipv4')) continue;
    if (kind === 'loopback' && policy.allowLoopback) continue;
    if (kind === 'public' && named) continue;
    throw refused(shown(url), whyNot(kind, address, named));
  }
}

function whyNot(kind: AddressKind, address: string, named: boolean): string {
  if (kind === 'loopback')
    return `its host has the address ${address}, which is this machine (outgoing.allow_loopback)`;
  if (kind === 'private')
    return `its host has the private address ${address}; add that address to outgoing.allowed`;
  return named ? `the address ${address} is not allowed` : 'add its host to outgoing.allowed';
}

function refused(url: string, reason: string): ConclaveError {
  return new ConclaveError('outgoing_refused', { url, reason });
}
