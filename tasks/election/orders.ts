/**
 * What a director has ordered, signed with its certificate's key: which request to create an election by, which to tally.
 * Every authority demands such an order, and keeps it outside of the database, where neither a restore nor another
 * attempt removes it. Two orders that contradict each other convict their signer before anybody, without a node
 * (`conclave evidence`). The statement that is signed is
 *
 *     "conclave order, version 1\n" ‖ canonical JSON of the order
 *
 * Sessions and tallies are named by their director. So orders about different sessions do not contradict each other;
 * but authorities that know different sessions can never make a key or a tally together.
 */
import { createHash, X509Certificate } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { TaskView } from '../../lib/engine/context.ts';
import { TaskError } from '../../lib/engine/definitions.ts';
import { ConclaveError } from '../../lib/errors.ts';
import { parseJson } from '../../lib/json.ts';
import { canonicalJson } from './canonical.ts';
import { createDurably } from './durable-file.ts';
import { electionKey } from './election.ts';
import type { ElectionServices } from './services.ts';
import { isSignedWith, sameCertificate } from './trust.ts';

/** Of one election; who sends more is no director. */
const MOST_ORDERS = 1000;
const MAX_BYTES = 64 * 1024;
const FILE = /^[0-9a-f]{64}\.json$/;

const name = z.string().max(256);
const electionId = z.union([name, z.int()]);
const hash = z.string().regex(/^[0-9a-f]{64}$/);
const orderSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('election'),
    election_id: electionId,
    request_hash: hash,
    sessions: z.array(name).min(1).max(100),
  }),
  z.strictObject({
    kind: z.literal('tally'),
    election_id: electionId,
    request_hash: hash,
    tally_id: name,
  }),
]);

/** What is ordered. */
export type Order = z.infer<typeof orderSchema>;

/** How an order is signed, as it travels with a task: the signature in base64, and the signer's certificate, PEM. */
export const orderSignature = z.strictObject({
  certificate: z.string().max(16_384),
  signature: z.base64().min(1).max(2048),
});
export type OrderSignature = z.infer<typeof orderSignature>;

const signedOrderSchema = z.strictObject({ order: orderSchema, ...orderSignature.shape });
export type SignedOrder = z.infer<typeof signedOrderSchema>;

function statement(order: Order): Buffer {
  return Buffer.from(`conclave order, version 1\n${canonicalJson(order)}`);
}

export function signOrder(services: ElectionServices, order: Order): OrderSignature {
  return {
    certificate: services.certificate,
    signature: services.sign(statement(order)).toString('base64'),
  };
}

/** @throws ConclaveError `invalid_request` when it is none, or not signed by the key of its certificate */
export function readSignedOrder(value: unknown): SignedOrder {
  const parsed = signedOrderSchema.safeParse(value).data;
  if (parsed !== undefined && isSigned(parsed)) return parsed;
  const problem =
    parsed === undefined
      ? 'this is no signed order'
      : 'the order is not signed with the key of its certificate';
  throw unreadable(problem);
}

function unreadable(problem: string): ConclaveError {
  return new ConclaveError('invalid_request', { problems: [problem] });
}

function isSigned({ order, certificate, signature }: SignedOrder): boolean {
  try {
    return isSignedWith(certificate, statement(order), Buffer.from(signature, 'base64'));
  } catch {
    // No certificate, or of a kind that does not sign.
    return false;
  }
}

/** Lower-case hex, of the certificate's octets. */
export function signerOf({ certificate }: SignedOrder): string {
  return createHash('sha256').update(new X509Certificate(certificate).raw).digest('hex');
}

/**
 * An order that its sender has signed; it is kept before this resolves.
 * @throws TaskError `disagreement` when it is not signed, or contradicts an order that was kept before
 */
export async function demandOrder(
  services: ElectionServices,
  task: Pick<TaskView, 'peerId'>,
  order: Order,
  given: OrderSignature,
): Promise<void> {
  const signed = { order: orderSchema.parse(order), ...given };
  const { certificate } = signed;
  if (!isSigned(signed) || !isOf(services, task, certificate))
    throw refuse(services, 'the order is not signed by the authority that sends it');
  const kept = await ordersOf(services, electionKey(order.election_id));
  if (kept.length >= MOST_ORDERS) throw refuse(services, 'there are too many orders for this election');
  await keepOrder(services, signed);
  const [found] = kept.flatMap((before) => contradictions([before, signed]));
  if (found !== undefined)
    throw refuse(
      services,
      `the director has ordered two different things: ${found.about}; both orders are kept`,
    );
}

function isOf(
  services: ElectionServices,
  { peerId }: Pick<TaskView, 'peerId'>,
  certificate: string,
): boolean {
  if (peerId === null) return sameCertificate(certificate, services.certificate);
  return services.peerByCertificate(certificate)?.id === peerId;
}

function refuse({ node }: ElectionServices, reason: string): TaskError {
  return new TaskError(`${node.name} refuses: ${reason}`, { authority: node.name, reason }, 'disagreement');
}

function folderOf({ privateFolder }: Pick<ElectionServices, 'privateFolder'>, key: string): string {
  return join(privateFolder, 'orders', key);
}

async function keepOrder(services: ElectionServices, signed: SignedOrder): Promise<void> {
  const text = canonicalJson(signed);
  const named = createHash('sha256').update(statement(signed.order)).update(signerOf(signed)).digest('hex');
  const folder = folderOf(services, electionKey(signed.order.election_id));
  await createDurably(join(folder, `${named}.json`), text);
}

/** All orders about an election that this authority was given. */
export async function ordersOf(
  services: Pick<ElectionServices, 'privateFolder'>,
  key: string,
): Promise<SignedOrder[]> {
  const folder = folderOf(services, key);
  const files = (await readdir(folder).catch(() => [] as string[])).filter((file) => FILE.test(file)).sort();
  return Promise.all(
    files.map(async (file) => readSignedOrder(parseJson(await readFile(join(folder, file)), 8))),
  );
}

export interface Contradiction {
  /** Fingerprint of the certificate that has signed both. */
  readonly signer: string;
  /** The session or the tally, and the election. */
  readonly about: string;
  readonly orders: readonly [SignedOrder, SignedOrder];
}

/** Pairs of orders by one signer about the same session or tally that are not the same. All must have been read. */
export function contradictions(orders: readonly SignedOrder[]): Contradiction[] {
  const found: Contradiction[] = [];
  for (const [index, one] of orders.entries()) {
    for (const other of orders.slice(index + 1)) {
      const about = subjectInCommon(one.order, other.order);
      if (about === null || canonicalJson(one.order) === canonicalJson(other.order)) continue;
      const signer = signerOf(one);
      if (signer === signerOf(other)) found.push({ signer, about, orders: [one, other] });
    }
  }
  return found;
}

function subjectInCommon(one: Order, other: Order): string | null {
  if (one.kind === 'tally')
    return other.kind === 'tally' && one.tally_id === other.tally_id
      ? `tally ${one.tally_id} of election ${one.election_id}`
      : null;
  if (other.kind !== 'election') return null;
  const session = one.sessions.find((id) => other.sessions.includes(id));
  return session === undefined ? null : `session ${session} of election ${one.election_id}`;
}

/** What an authority gives to whoever is to judge. */
export function evidenceText(orders: readonly SignedOrder[]): string {
  return `${JSON.stringify({ version: 1, orders }, null, 2)}\n`;
}

const evidenceSchema = z.strictObject({
  version: z.literal(1),
  orders: z.array(z.unknown()).max(MOST_ORDERS),
});

/** @throws ConclaveError `invalid_request` when anything of it is not what it says it is */
export function readEvidence(bytes: Buffer): SignedOrder[] {
  if (bytes.length > MOST_ORDERS * MAX_BYTES) throw unreadable('the file is too large');
  let value: unknown;
  try {
    value = parseJson(bytes, 16);
  } catch (cause) {
    throw unreadable(`the file is no JSON: ${(cause as Error).message}`);
  }
  const parsed = evidenceSchema.safeParse(value).data;
  if (parsed === undefined) throw unreadable('this is no evidence of version 1');
  return parsed.orders.map(readSignedOrder);
}
