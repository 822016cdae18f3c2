import type { Pool } from 'pg'
import { afterAll, beforeAll, beforeEach } from 'vitest'
import { migrate } from '../../store/migrate.ts'
import { openPool } from '../../store/pool.ts'
import type { Answer } from './answer.ts'
import { type CoreExperiments, coreExperiments } from './core-experiments.ts'
import { memoryApp, type MemoryOptions } from './memory-app.ts'
import { type TestPostgres, testPostgres } from './postgres.ts'

const HEADERS = { host: 'localhost', 'x-skydeck-actor': 'ann' }

/** The console and its API on tables of their own, emptied before each test, with the rules in the place of Temporal. */
export class TestApi {
  readonly #secret: string
  #postgres!: TestPostgres
  #app!: ReturnType<typeof memoryApp>
  db!: Pool
  core!: CoreExperiments

  /** Begins before the tests of this file, and ends after them. */
  constructor(secret = 'a secret') {
    this.#secret = secret
    beforeAll(async () => {
      this.#postgres = await testPostgres()
      const url = await this.#postgres.database()
      await migrate(url, () => {})
      this.db = openPool(url, () => {})
    }, 60_000)
    afterAll(async () => {
      await this.db.end()
      await this.#postgres.dispose()
    }, 60_000)
    beforeEach(async () => {
      await this.db.query('truncate experiment, attempt, event, orphan, lease, source restart identity')
      this.core = coreExperiments(this.db)
      this.serve({ experiments: this.core.experiments, fenceSecret: this.#secret })
    })
  }

  /** Serves another console from now on, on the same tables. */
  serve(given: MemoryOptions): void {
    this.#app = memoryApp({ ...given, db: this.db })
  }

  request = async (path: string, init: RequestInit): Promise<Response> => this.#app.request(path, init)

  ask = async (
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<{ status: number; body: Answer }> => {
    const answer = await this.#app.request(path, {
      method,
      headers: {
        ...HEADERS,
        ...headers,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    return { status: answer.status, body: (await answer.json()) as Answer }
  }

  page = async (path: string, form?: Record<string, string>): Promise<Response> =>
    this.#app.request(path, {
      headers: { host: 'localhost', accept: 'text/html' },
      ...(form ? { method: 'POST', body: new URLSearchParams(form) } : {}),
    })

  create = async (name: string, more: Record<string, unknown> = {}): Promise<number> => {
    const { body } = await this.ask('POST', '/api/experiments', { name, command: 'echo {flags}', ...more })
    return body.experiment.id
  }

  /** Makes it a running job of SkyPilot's. */
  run = async (id: number, jobId: number): Promise<void> => {
    await this.ask('POST', `/api/experiments/${id}/state`, { desired_state: 'RUNNING' })
    await this.core.learn(id, { kind: 'launchIntended', atMs: Date.now() })
    await this.core.learn(id, { kind: 'jobFound', jobId, atMs: Date.now() })
  }
}
