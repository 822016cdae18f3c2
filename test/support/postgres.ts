import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { startPostgres } from '../../local/postgres.ts'
import { Supervisor } from '../../local/supervisor.ts'
import { freePort } from './ports.ts'

export interface TestPostgres {
  /** A new and empty database. */
  database(): Promise<string>
  dispose(): Promise<void>
}

/** The embedded Postgres, as SkyDeck itself starts it. */
export async function testPostgres(): Promise<TestPostgres> {
  const home = mkdtempSync(join(tmpdir(), 'skydeck-test-'))
  const supervisor = new Supervisor(home, () => {})
  const url = await startPostgres(supervisor, home, await freePort())
  let count = 0
  return {
    async database() {
      const name = `test_${(count += 1)}`
      const client = new pg.Client({ connectionString: url })
      await client.connect()
      await client.query(`create database ${name}`)
      await client.end()
      return Object.assign(new URL(url), { pathname: `/${name}` }).href
    },
    async dispose() {
      await supervisor.stop()
      rmSync(home, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}
