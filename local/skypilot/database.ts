import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { z } from 'zod'

const SCHEMA = `
  -- One server at a time: the lock ends with the process that holds it, however that ends.
  pragma locking_mode = exclusive;
  pragma journal_mode = wal;
  pragma synchronous = full;
  -- What really happened, in order: the ground truth that tests compare with.
  create table if not exists ledger (
    seq integer primary key autoincrement, at real not null, effect text not null, job_id integer, name text, detail text
  ) strict;
`

const LedgerRow = z.object({
  seq: z.int(),
  at: z.number(),
  effect: z.string(),
  job_id: z.int().nullable(),
  name: z.string().nullable(),
  detail: z.string().nullable(),
  cluster: z.string().nullable(),
})
type LedgerRow = z.infer<typeof LedgerRow>

/** One effect: what happened to which job, cluster or service. */
export interface Effect {
  effect: string
  name: string
  jobId?: number
  cluster?: string
  detail?: string | null
}

/** Seconds since the epoch, as SkyPilot counts. */
export const now = (): number => Date.now() / 1_000

/** The file that outlives the server. One process writes it. */
export class Database {
  readonly #db: DatabaseSync

  /** @throws Error when another server has the folder */
  constructor(home: string) {
    mkdirSync(home, { recursive: true, mode: 0o700 })
    this.#db = new DatabaseSync(join(home, 'skypilot.db'), { timeout: 1_000 })
    try {
      this.#db.exec(SCHEMA)
      this.addColumn('ledger', 'cluster', 'text')
    } catch (error) {
      this.#db.close()
      throw new Error(`cannot use ${home}: does another server run there?`, { cause: error })
    }
  }

  close(): void {
    this.#db.close()
  }

  /** Runs statements that create what is not there yet. */
  define(sql: string): void {
    this.#db.exec(sql)
  }

  /** Adds a column that a file of an earlier version lacks. */
  addColumn(table: string, column: string, type: string): void {
    const known = this.rows(z.object({ name: z.string() }), `select name from pragma_table_info('${table}')`)
    if (known.some(({ name }) => name === column)) return
    this.#db.exec(`alter table ${table} add column ${column} ${type}`)
  }

  /** Writes all of it or nothing. */
  together<T>(work: () => T): T {
    if (this.#db.isTransaction) return work()
    this.#db.exec('begin immediate')
    try {
      const result = work()
      this.#db.exec('commit')
      return result
    } catch (error) {
      // A full disk may have ended the transaction already.
      if (this.#db.isTransaction) this.#db.exec('rollback')
      throw error
    }
  }

  run(
    sql: string,
    ...values: SQLInputValue[]
  ): { lastInsertRowid: number | bigint; changes: number | bigint } {
    return this.#db.prepare(sql).run(...values)
  }

  rows<T>(schema: z.ZodType<T>, sql: string, ...values: SQLInputValue[]): T[] {
    return this.#db
      .prepare(sql)
      .all(...values)
      .map((row) => schema.parse(row))
  }

  /** One more line of the ledger, which only ever grows. */
  note({ effect, name, jobId, cluster, detail }: Effect): void {
    this.run(
      'insert into ledger (at, effect, job_id, name, detail, cluster) values (?, ?, ?, ?, ?, ?)',
      now(),
      effect,
      jobId ?? null,
      name,
      detail ?? null,
      cluster ?? null,
    )
  }

  /** The lines after a number, oldest first. */
  ledger(after: number): LedgerRow[] {
    return this.rows(LedgerRow, 'select * from ledger where seq > ? order by seq', after)
  }
}
