/** The request of an election as people read it: every field of it, none of it taken from elsewhere (D33). */
import { type ElectionRequest, isWriteIn, type Question } from '../../tasks/election/election.ts';
import { requestHash } from '../../tasks/election/request.ts';
import type { Json } from '../json.ts';
import { pinCertificate } from '../protocol/certificate.ts';
import type { OperatorServices } from './services.ts';
import { hashView } from './shown.ts';
import type { AuthorityIdentity, ElectionDetails, QuestionView } from './views.ts';

export function electionDetails(
  services: Pick<OperatorServices, 'node' | 'elections' | 'certificate'>,
  request: ElectionRequest,
): ElectionDetails {
  const { id, title, description, url, callback_url, start_date, end_date, group, threshold, ...rest } =
    request;
  const { authorities: _authorities, questions, ...other } = rest;
  return {
    id: String(id),
    title,
    description,
    url,
    callback_url,
    start_date,
    end_date,
    group,
    threshold,
    authorities: authorityIdentities(services, request),
    questions: questions.map(questionView),
    other: other as Record<string, Json>,
    request_hash: hashView(requestHash(request)),
  };
}

export function authorityIdentities(
  services: Pick<OperatorServices, 'elections' | 'certificate'>,
  { authorities }: ElectionRequest,
): AuthorityIdentity[] {
  const own = pinCertificate(services.certificate()).fingerprint;
  return authorities.map(({ name, orchestra_url: url, ssl_cert }, index) => {
    const { fingerprint, not_after } = pinCertificate(ssl_cert);
    return {
      position: index + 1,
      name,
      url,
      certificate: hashView(fingerprint),
      not_after,
      is_self: fingerprint === own,
      peer_name: services.elections.peerByCertificate(ssl_cert)?.name ?? null,
    };
  });
}

function questionView(question: Question): QuestionView {
  return {
    title: question.title,
    description: question.description ?? null,
    tally_type: question.tally_type,
    min: question.min,
    max: question.max,
    num_winners: question.num_winners,
    answers: question.answers.map((answer) => ({
      id: answer.id,
      text: answer.text,
      is_write_in: isWriteIn(answer),
      urls: answer.urls,
      category: answer.category ?? null,
      details: answer.details ?? null,
    })),
  };
}
