/* What differs from the last request of the same election that was shown here. */
import type { Json } from '../../../json.ts';
import type { ApprovalView } from '../../../operator/views.ts';
import { t } from '../catalogue/messages.ts';
import { Moment } from '../components/moment.tsx';
import { Notice } from '../components/notice.tsx';
import { Remote } from '../components/remote.tsx';

export function Changes({ approval }: { readonly approval: ApprovalView }) {
  const { previous, changes } = approval;
  if (previous === null)
    return (
      <Notice tone="idle">
        <p>{t('changes.first')}</p>
      </Notice>
    );
  return (
    <section class="card" aria-labelledby="changes">
      <h2 id="changes">{t('changes.title')}</h2>
      <p class="small">
        {t('changes.previous')} <Moment date={previous.requested_date} show="both" />
        {': '}
        {t(`approval.status.${previous.status}`)}
        {previous.reason !== null && (
          <>
            {' – '}
            <Remote text={previous.reason} />
          </>
        )}
      </p>
      {changes.length === 0 ? (
        <p>{t('changes.none')}</p>
      ) : (
        <table class="table table-stack">
          <thead>
            <tr>
              <th scope="col">{t('changes.where')}</th>
              <th scope="col">{t('changes.before')}</th>
              <th scope="col">{t('changes.after')}</th>
            </tr>
          </thead>
          <tbody>
            {changes.map(({ path, change, before, after }) => (
              <tr key={path}>
                <th scope="row">
                  <Remote text={path.replaceAll('/', ' › ')} />
                </th>
                <td data-label={t('changes.before')}>
                  {change === 'added' ? <em>{t('changes.absent')}</em> : <Value value={before} />}
                </td>
                <td data-label={t('changes.after')}>
                  {change === 'removed' ? <em>{t('changes.absent')}</em> : <Value value={after} />}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function Value({ value }: { readonly value: Json }) {
  if (typeof value === 'string') return <Remote text={value} />;
  return (
    <code>
      <Remote text={JSON.stringify(value)} />
    </code>
  );
}
