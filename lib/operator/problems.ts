/**
 * What is wrong with this node or about to be, in sentences for a banner. Only what costs next to nothing to know:
 * `conclave doctor` looks at the rest. Reads only.
 */
import { pinCertificate } from '../protocol/certificate.ts';
import { countTrail } from '../store/audit.ts';
import type { OperatorServices } from './services.ts';

const DAY = 24 * 3600 * 1000;
const EXPIRY_DAYS = 30;
/** The trail is sealed every few seconds. */
const SEALING_MINUTES = 10;

/** Empty: nothing. */
export async function problemsOf(
  { certificate, db, peers }: OperatorServices,
  now = new Date(),
): Promise<string[]> {
  const problems: string[] = [];
  const left = Math.floor((Date.parse(pinCertificate(certificate()).not_after) - now.getTime()) / DAY);
  if (left < 0) problems.push('The certificate of this node has expired: peers refuse it.');
  else if (left < EXPIRY_DAYS) problems.push(`The certificate of this node expires in ${left} days.`);
  const { forks, unsealed, lastDate } = await countTrail(db);
  for (const { peerId } of forks) {
    const name = peers.byId(peerId)?.name ?? peerId;
    problems.push(`${name} has signed two histories of its log that contradict one another.`);
  }
  const idle = lastDate === null ? 0 : (now.getTime() - lastDate.getTime()) / 60_000;
  if (unsealed > 10_000 && idle > SEALING_MINUTES)
    problems.push(
      `${unsealed} entries of the audit trail wait to be sealed, since ${lastDate!.toISOString()}.`,
    );
  return problems;
}
