import pg from 'pg'

const CONNECTIONS_MAX = 10
const CONNECT_MS = 5_000
const STATEMENT_MS = 5_000

/** The server ends what takes too long; one that does not answer at all is given up a little later. */
const ANSWER_LATE_MS = 1_000

/**
 * Opens a pool. Nothing connects before the first query; a lost connection is replaced by the next one. No statement
 * takes longer than `statementMs`, so that a database that hangs hangs nobody else.
 */
export function openPool(
  databaseUrl: string,
  onError: (error: Error) => void,
  statementMs = STATEMENT_MS,
): pg.Pool {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: CONNECTIONS_MAX,
    connectionTimeoutMillis: Math.min(CONNECT_MS, statementMs),
    statement_timeout: statementMs,
    query_timeout: statementMs + ANSWER_LATE_MS,
    application_name: 'skydeck',
  })
  // An idle connection that dies must not take the process with it.
  pool.on('error', onError)
  return pool
}
