/** What differs between two JSON values, path by path. Pure; bounded, because strangers write what is compared. */
import type { Json } from '../json.ts';
import type { ChangeView } from './views.ts';

const MAX_CHANGES = 1000;

/** In the order of the paths; an element of a list is compared with the one at the same place. */
export function changesBetween(before: Json, after: Json): ChangeView[] {
  const changes: ChangeView[] = [];
  compare(before, after, '', changes);
  return changes;
}

function compare(
  before: Json | undefined,
  after: Json | undefined,
  path: string,
  changes: ChangeView[],
): void {
  if (changes.length >= MAX_CHANGES) return;
  if (before === undefined || after === undefined) {
    if (before === after) return;
    const change = before === undefined ? 'added' : 'removed';
    changes.push({ path, change, before: before ?? null, after: after ?? null });
    return;
  }
  const [one, other] = [membersOf(before), membersOf(after)];
  if (one === undefined || other === undefined || Array.isArray(before) !== Array.isArray(after)) {
    if (JSON.stringify(before) !== JSON.stringify(after))
      changes.push({ path, change: 'changed', before, after });
    return;
  }
  for (const key of new Set([...one.keys(), ...other.keys()]))
    compare(one.get(key), other.get(key), path === '' ? key : `${path}/${key}`, changes);
}

function membersOf(value: Json): Map<string, Json> | undefined {
  return typeof value === 'object' && value !== null ? new Map(Object.entries(value)) : undefined;
}
