/* Results: for each question a chart and, with the same numbers, a table. */
import { useId } from 'preact/hooks';
import type { QuestionResultView } from '../../../operator/views.ts';
import { formatNumber, formatPercent } from '../catalogue/formats.ts';
import { t } from '../catalogue/messages.ts';
import { BarChart } from '../components/bar-chart.tsx';
import { Chip } from '../components/chip.tsx';
import { Notice } from '../components/notice.tsx';
import { plain, Remote } from '../components/remote.tsx';

export function Results({ results }: { readonly results: readonly QuestionResultView[] }) {
  return (
    <>
      {results.map((result, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a question is its place
        <Result key={index} result={result} />
      ))}
    </>
  );
}

function Result({ result }: { readonly result: QuestionResultView }) {
  const heading = useId();
  const { totals } = result;
  const points = result.candidates.reduce((sum, candidate) => sum + candidate.points, 0);
  const share = (value: number) => formatPercent(points === 0 ? 0 : value / points);
  return (
    <section class="stack" aria-labelledby={heading}>
      <h3 id={heading}>
        <Remote text={result.title} />
      </h3>
      <p class="small muted">
        {t('result.totals', {
          total: totals.total_votes,
          valid: totals.valid_votes,
          blank: totals.blank_votes,
          null: totals.null_votes,
        })}
      </p>
      {!result.counted && (
        <Notice tone="attention">
          <p>{t('result.not_counted')}</p>
        </Notice>
      )}
      {result.tie !== null && (
        <Notice tone="attention">
          <p>
            {t('result.tie', {
              count: result.tie.seats,
              names: result.tie.candidates.map(plain).join(', '),
            })}
          </p>
        </Notice>
      )}
      <BarChart
        title={t('result.chart', { title: plain(result.title) })}
        bars={result.candidates.map((candidate) => ({
          label: plain(candidate.text),
          value: candidate.points,
          note: share(candidate.points),
          strong: candidate.place !== null,
        }))}
      />
      <table class="table table-stack">
        <caption class="visually-hidden">{t('result.table', { title: plain(result.title) })}</caption>
        <thead>
          <tr>
            <th scope="col">{t('result.answer')}</th>
            <th scope="col" class="number">
              {t('result.points')}
            </th>
            <th scope="col" class="number">
              {t('result.share')}
            </th>
            <th scope="col">{t('result.place')}</th>
          </tr>
        </thead>
        <tbody>
          {result.candidates.map((candidate) => (
            <tr key={`${candidate.is_write_in} ${candidate.text}`}>
              <th scope="row">
                <Remote text={candidate.text} />
                {candidate.is_write_in && <span class="small muted"> ({t('answer.write_in')})</span>}
              </th>
              <td class="number" data-label={t('result.points')}>
                {formatNumber(candidate.points)}
              </td>
              <td class="number" data-label={t('result.share')}>
                {share(candidate.points)}
              </td>
              <td>
                {candidate.place !== null && (
                  <Chip tone="good" text={t('result.winner', { place: candidate.place })} />
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
