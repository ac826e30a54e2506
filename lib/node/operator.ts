/** What operators work with, composed from the parts of a node: for its console, and for commands beside it. */
import { ConclaveError, reasonOf } from '../errors.ts';
import type { OperatorServices } from '../operator/services.ts';
import type { ReachablePeer } from '../protocol/client.ts';
import { writePeerFile } from '../protocol/peer-file.ts';
import { record } from '../store/audit.ts';
import type { Assembly } from './assembly.ts';

export function operatorServices(parts: Assembly): OperatorServices {
  const { settings, identity, opened, peers, client, services, elections, engine } = parts;
  const workflows = () => {
    if (elections !== null) return elections;
    throw new ConclaveError('not_allowed', { reason: 'this node runs no elections' });
  };
  return {
    node: { name: settings.name, url: settings.root_url },
    db: opened.database.knex,
    engine,
    peers,
    elections: services,
    approvalsRequired: settings.approvals_required,
    certificate: () => identity.current.certificate,
    peerFile() {
      const { certificate, privateKey } = identity.current;
      const { name, root_url: url } = settings;
      return writePeerFile({ name, url, roles: ['authority'], certificate }, privateKey);
    },
    record: (transaction, entry) => record(transaction, entry),
    requestElection: (body) => workflows().requestElection(body),
    requestTally: (body) => workflows().requestTally(body),
    async reach(peerId, signal) {
      const peer = peers.byId(peerId);
      if (peer?.url == null) return { date: null, refusal: 'it has no URL: it only calls this node' };
      try {
        const { status, text, date = null } = await client.askIdentity(peer as ReachablePeer, signal);
        // An original answers 404, and is there.
        return {
          date,
          refusal: status === 200 || status === 404 ? null : `it answered ${status}: ${text}`,
        };
      } catch (thrown) {
        return { date: null, refusal: reasonOf(thrown) };
      }
    },
  };
}
