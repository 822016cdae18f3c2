import { DatabaseError, type Pool, type PoolClient } from 'pg'
import type { z } from 'zod'

/** A pool or a transaction on one of its connections: whether statements belong together is the caller's choice. */
export type Queryable = Pick<Pool | PoolClient, 'query'>

/** Runs a statement and parses every row of its answer. */
export async function many<T>(
  db: Queryable,
  row: z.ZodType<T>,
  sql: string,
  values: readonly unknown[] = [],
): Promise<T[]> {
  const { rows } = await db.query<Record<string, unknown>>(sql, [...values])
  return rows.map((each) => row.parse(each))
}

export async function maybeOne<T>(
  db: Queryable,
  row: z.ZodType<T>,
  sql: string,
  values: readonly unknown[] = [],
): Promise<T | undefined> {
  const [first] = await many(db, row, sql, values)
  return first
}

/** @throws Error when there is no row */
export async function one<T>(
  db: Queryable,
  row: z.ZodType<T>,
  sql: string,
  values: readonly unknown[] = [],
): Promise<T> {
  const first = await maybeOne(db, row, sql, values)
  if (first === undefined) throw new Error('a row was expected and there is none')
  return first
}

/** Nothing was written: Postgres has no room for it. */
export const isDiskFull = (error: unknown): boolean =>
  error instanceof DatabaseError && error.code === '53100'

/** Runs work in one transaction: all of it happens, or nothing. */
export async function transaction<T>(pool: Pool, work: (db: Queryable) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  let broken: Error | undefined
  // A connection that breaks while nothing is asked of it must not end the process; the next statement says so.
  const note = (error: Error): void => {
    broken = error
  }
  client.on('error', note)
  try {
    await client.query('begin')
    const result = await work(client)
    await client.query('commit')
    return result
  } catch (error) {
    await client.query('rollback').catch((failure: unknown) => {
      broken = failure instanceof Error ? failure : new Error(String(failure))
    })
    throw error
  } finally {
    client.off('error', note)
    client.release(broken)
  }
}
