/** The table `shared_files`: files that this node offers to peers as bulk data (D17, D35). */
import type { Knex } from 'knex';

export interface SharedFile {
  readonly id: string;
  readonly path: string;
  /** In bytes. */
  readonly size: number;
  /** Lower-case hex. */
  readonly sha256: string;
  /** Ids of the peers that may fetch it. */
  readonly readers: readonly string[];
}

const COLUMNS = 'id, path, size, sha256, readers';

export async function findSharedById(db: Knex, id: string): Promise<SharedFile | undefined> {
  const { rows } = await db.raw<{ rows: SharedFile[] }>(`select ${COLUMNS} from shared_files where id = ?`, [
    id,
  ]);
  return rows.map(withNumber)[0];
}

/** One that is offered already, exactly so. */
export async function findShared(db: Knex, file: Omit<SharedFile, 'id'>): Promise<SharedFile | undefined> {
  const { rows } = await db.raw<{ rows: SharedFile[] }>(
    `select ${COLUMNS} from shared_files
     where path = ? and size = ? and sha256 = ? and readers = cast(? as text[]) limit 1`,
    [file.path, file.size, file.sha256, file.readers as string[]],
  );
  return rows.map(withNumber)[0];
}

export async function insertShared(db: Knex, file: SharedFile): Promise<void> {
  await db.raw(
    `insert into shared_files (id, path, size, sha256, readers) values (?, ?, ?, ?, cast(? as text[]))
     on conflict (id) do nothing`,
    [file.id, file.path, file.size, file.sha256, file.readers as string[]],
  );
}

/** `prefix`: a folder's path with its closing separator. */
export async function deleteSharedBelow(db: Knex, prefix: string): Promise<void> {
  await db.raw('delete from shared_files where starts_with(path, ?)', [prefix]);
}

/** PostgreSQL's bigint arrives as text. */
function withNumber(row: SharedFile): SharedFile {
  return { ...row, size: Number(row.size) };
}
