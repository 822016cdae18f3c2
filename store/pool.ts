import pg from 'pg'

const CONNECTIONS_MAX = 10
const CONNECT_MS = 5_000
const STATEMENT_MS = 15_000

/** Opens a pool. Nothing connects before the first query; a lost connection is replaced by the next one. */
export function openPool(databaseUrl: string, onError: (error: Error) => void): pg.Pool {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: CONNECTIONS_MAX,
    connectionTimeoutMillis: CONNECT_MS,
    statement_timeout: STATEMENT_MS,
    application_name: 'skydeck',
  })
  // An idle connection that dies must not take the process with it.
  pool.on('error', onError)
  return pool
}
