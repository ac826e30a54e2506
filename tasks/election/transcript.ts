/**
 * `keygen_json`: the key generation of one session, for everybody to check (D46). It has what the authorities sent one
 * another, nothing of which is secret, and is the same on every authority:
 *
 *     authorities   each with the keys of this election, signed with its certificate's key over the request's hash
 *     commitments   the hashes of all dealings, which were known before any dealing was opened
 *     dealings      as they were opened; the shares in them are sealed for keys that were forgotten since
 *     confirmation  the hash that the authorities compared
 */
import { z } from 'zod';
import { serialise } from '../../lib/mixnet/byte-tree/tree.ts';
import { ProductCodec } from '../../lib/mixnet/elgamal/shape.ts';
import { type PublicKeyJson, publicKeyToJson } from '../../lib/mixnet/formats/public-key-json.ts';
import { groupByName } from '../../lib/mixnet/groups/registry.ts';
import { checkDealing } from '../../lib/mixnet/keys/dealing.ts';
import { combineDealings } from '../../lib/mixnet/keys/joint-key.ts';
import { keyContext } from '../../lib/mixnet/keys/key-context.ts';
import { partyKeySchema } from '../../lib/mixnet/keys/party-key.ts';
import { polynomialTree } from '../../lib/mixnet/keys/polynomial-in-exponent.ts';
import { compactJson } from './canonical.ts';
import { type ElectionId, electionKey, GROUPS, isElectionId } from './election.ts';
import type { AuthorityRecord, ElectionRecord, SessionRecord } from './records.ts';
import { protocolInfoOf, SESSION_ID } from './session-parameters.ts';
import { isSignedWith, partyKeyStatement } from './trust.ts';

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const schema = z.strictObject({
  format: z.literal('conclave-keygen-1'),
  election_id: z.custom<ElectionId>(isElectionId),
  session_id: z.string().regex(SESSION_ID),
  request_hash: hash,
  group: z.enum(GROUPS),
  threshold: z.int().min(1).max(24),
  authorities: z
    .array(
      z.strictObject({
        name: z.string().min(1).max(255),
        url: z.url().max(2048),
        certificate: z.string().max(20_000),
        party_key: partyKeySchema,
        signature: z.base64().max(2048),
      }),
    )
    .min(1)
    .max(24),
  commitments: z.array(hash).max(24),
  dealings: z.array(z.record(z.string(), z.unknown())).max(24),
  confirmation: hash,
});
export type Transcript = z.infer<typeof schema>;

export function transcriptText(
  { request, requestHash, group, threshold }: ElectionRecord,
  authorities: readonly AuthorityRecord[],
  { sessionId, commitments, dealings, confirmation }: SessionRecord,
): string {
  return compactJson({
    format: 'conclave-keygen-1',
    election_id: request.id,
    session_id: sessionId,
    request_hash: requestHash,
    group,
    threshold,
    authorities: authorities.map(({ name, url, certificate, partyKey, partyKeySignature }) => ({
      name,
      url,
      certificate,
      party_key: partyKey,
      signature: partyKeySignature,
    })),
    commitments,
    dealings,
    confirmation,
  });
}

/** What a valid transcript proves. */
export interface GeneratedKey {
  transcript: Transcript;
  publicKey: PublicKeyJson;
  /** The polynomial in the exponent, as it lies in a proof directory. */
  polynomial: Uint8Array;
  /** The session's protInfo.xml. */
  protInfo: string;
}

/**
 * Checks a key generation as each authority did, without any secret.
 * @throws RangeError, ZodError, Refusal for what is wrong
 */
export function verifyTranscript(value: unknown): GeneratedKey {
  const transcript = schema.parse(value);
  const { authorities, commitments, dealings, threshold, session_id, request_hash } = transcript;
  const key = electionKey(transcript.election_id);
  for (const authority of authorities)
    if (!isSigned(authority, request_hash))
      throw new RangeError(`the keys of ${authority.name} are not signed with its certificate`);
  if (commitments.length !== authorities.length || dealings.length !== authorities.length)
    throw new RangeError('there is not one dealing of each authority');
  const group = groupByName(transcript.group);
  const partyKeys = authorities.map(({ party_key }) => party_key);
  const context = keyContext(key, session_id, group, threshold, partyKeys);
  const checked = dealings.map((dealing, index) =>
    checkDealing(context, index + 1, dealing, Buffer.from(commitments[index]!, 'hex')),
  );
  const joint = combineDealings(context, checked);
  if (Buffer.from(joint.confirmation).toString('hex') !== transcript.confirmation)
    throw new RangeError('the authorities confirmed another key');
  const codec = new ProductCodec(group, { width: 1, keyWidth: 1 });
  return {
    transcript,
    publicKey: publicKeyToJson(group, joint.publicKey),
    polynomial: serialise(polynomialTree(codec, joint.polynomial)),
    protInfo: protocolInfoOf({ key, threshold, group: transcript.group }, partiesOf(transcript), session_id),
  };
}

function isSigned(
  { name, certificate, party_key, signature }: Transcript['authorities'][number],
  requestHash: string,
): boolean {
  try {
    const statement = partyKeyStatement(requestHash, party_key);
    return isSignedWith(certificate, statement, Buffer.from(signature, 'base64'));
  } catch {
    throw new RangeError(`the certificate of ${name} cannot be read`);
  }
}

function partiesOf({ authorities }: Transcript): Parameters<typeof protocolInfoOf>[1] {
  return authorities.map(({ url, party_key: partyKey }, index) => ({ position: index + 1, url, partyKey }));
}
