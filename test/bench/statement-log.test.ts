import { expect, test } from 'vitest'
import { countStatements } from '../../bench/statement-log.ts'

const at = '2026-11-25 14:00:00.000 UTC'

test('a statement outside of a transaction is a commit of its own', () => {
  const log = [
    `${at} [70] LOG:  statement: select 1`,
    `${at} [70] LOG:  execute <unnamed>: insert into source (name,`,
    '\t tried_at) values ($1, $2)',
    `${at} [70] DETAIL:  Parameters: $1 = 'skypilot'`,
  ].join('\n')
  expect(countStatements(log)).toEqual({ statements: 2, commits: 2 })
})

test('transactions that are under way at once are told apart by their connection', () => {
  const log = [
    `${at} [70] LOG:  statement: begin`,
    `${at} [71] LOG:  statement: BEGIN`,
    `${at} [70] LOG:  execute <unnamed>: insert into event`,
    `${at} [71] LOG:  execute <unnamed>: insert into event`,
    `${at} [70] LOG:  execute <unnamed>: insert into attempt`,
    `${at} [70] LOG:  statement: commit`,
    `${at} [71] LOG:  statement: rollback`,
    `${at} [71] LOG:  statement: select 2`,
  ].join('\n')
  expect(countStatements(log)).toEqual({ statements: 4, commits: 2 })
})

test('lines of another kind are passed over', () => {
  expect(countStatements(`${at} [9] LOG:  checkpoint starting: time\n\nnothing`)).toEqual({
    statements: 0,
    commits: 0,
  })
})
