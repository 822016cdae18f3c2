import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { startPostgres } from '../../local/postgres.ts'
import { Supervisor } from '../../local/supervisor.ts'
import { freePort } from '../support/ports.ts'

let home = ''
let supervisor: Supervisor
// mkdtemp makes a folder closed to all others, so a run as root also shows that Postgres's own user gets in.
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'skydeck-'))
  supervisor = new Supervisor(home, () => undefined)
})
afterEach(async () => {
  await supervisor.stop()
  rmSync(home, { recursive: true, force: true })
})

async function ask(connectionString: string, sql: string): Promise<object[]> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  try {
    const { rows } = await client.query<Record<string, unknown>>(sql)
    return rows
  } finally {
    await client.end()
  }
}

it('keeps its data over a stop, a kill, and a process number that now belongs to another', async () => {
  const port = await freePort()
  const address = await startPostgres(supervisor, home, port)
  await ask(address, 'create table t (n int); insert into t values (7)')
  expect(statSync(join(home, 'postgres-password')).mode & 0o777).toBe(0o600)
  await expect(ask(address.replace(/:[^:@]+@/, ':wrong@'), 'select 1')).rejects.toThrow(/password/)
  await supervisor.stop()

  supervisor = new Supervisor(home, () => undefined)
  expect(await startPostgres(supervisor, home, port)).toBe(address)
  expect(await ask(address, 'select n from t')).toEqual([{ n: 7 }])
  const pidFile = join(home, 'postgres/postmaster.pid')
  process.kill(Number(readFileSync(pidFile, 'utf8').split('\n')[0]), 'SIGKILL')
  await expect
    .poll(() => ask(address, 'select n from t').catch(() => null), { timeout: 15_000 })
    .toEqual([{ n: 7 }])
  await supervisor.stop()

  writeFileSync(pidFile, `${process.pid}\n/somewhere\n1\n${port}\n`)
  supervisor = new Supervisor(home, () => undefined)
  await startPostgres(supervisor, home, port)
  expect(await ask(address, 'select n from t')).toEqual([{ n: 7 }])
})
