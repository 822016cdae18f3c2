/** What Postgres wrote that it was asked, with `log_statement = 'all'`. */
export interface Statements {
  /** Without those that only begin and end a transaction. */
  statements: number
  /** Transactions that were made lasting, also those of a single statement. */
  commits: number
}

const LINE = /\[(\d+)\] LOG: {2}(?:statement|execute [^:]+): (.*)$/

/**
 * Counts statements and commits in the lines of a log. Lines of another kind, and the rest of long statements, are
 * passed over.
 */
export function countStatements(log: string): Statements {
  const inTransaction = new Set<string>()
  const counted = { statements: 0, commits: 0 }
  for (const { connection, word } of spoken(log)) {
    if (word === 'begin') inTransaction.add(connection)
    else if (word === 'commit' || word === 'rollback') inTransaction.delete(connection)
    else counted.statements += 1
    if (word !== 'rollback' && !inTransaction.has(connection)) counted.commits += 1
  }
  return counted
}

/** The first word of each statement, and the process that served it. */
function* spoken(log: string): Iterable<{ connection: string; word: string }> {
  for (const line of log.split('\n')) {
    const [, connection, text = ''] = LINE.exec(line) ?? []
    const word = /^\s*(\w*)/.exec(text)?.[1] ?? ''
    if (connection !== undefined) yield { connection, word: word.toLowerCase() }
  }
}
