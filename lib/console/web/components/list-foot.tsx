/* Below a list: how much of it is shown, and more of it on demand. */
import { t } from '../catalogue/messages.ts';
import type { List } from '../live/pages.ts';

export function ListFoot({ list }: { readonly list: List<unknown> }) {
  return (
    <div class="pager small muted">
      <span>{t('list.shown', { count: list.items?.length ?? 0 })}</span>
      {list.more && (
        <button type="button" class="button button-small" onClick={list.loadMore}>
          {t('list.more')}
        </button>
      )}
    </div>
  );
}
