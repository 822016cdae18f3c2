import { MockActivityEnvironment } from '@temporalio/testing'
import { DefaultLogger } from '@temporalio/worker'
import { createSkyPilot, type SkyPilot } from '../../skypilot/client.ts'
import { TestSkyPilot } from '../local/skypilot-client.ts'

type Tamper = (value: unknown) => unknown

/** What Temporal gives to an activity. That one fails is what some tests are about, and no news. */
export const surroundings = (attempt = 1): MockActivityEnvironment =>
  new MockActivityEnvironment({ attempt }, { logger: new DefaultLogger('ERROR') })

/** A local SkyPilot in this process, our client of it, and Temporal's surroundings of an activity. */
export class ActivityBench {
  readonly server = new TestSkyPilot()
  /** Changes what the server answers to a question, before our client has it. */
  tamper: Tamper | null = null
  #sky: SkyPilot | undefined

  async start(): Promise<this> {
    await this.server.start()
    this.#sky = createSkyPilot({
      endpoint: this.server.url,
      user: { id: 'skydeck', name: 'skydeck' },
      fetch: (...call) => this.#fetch(...call),
    })
    return this
  }

  get sky(): SkyPilot {
    if (!this.#sky) throw new Error('it does not run')
    return this.#sky
  }

  /** Runs work as an activity, as Temporal's first try of it or a later one. */
  run<T>(work: () => Promise<T>, { attempt = 1 } = {}): Promise<T> {
    return surroundings(attempt).run(work)
  }

  async faults(...faults: ReadonlyArray<Record<string, unknown>>): Promise<void> {
    const answer = await this.server.post('/local/faults', faults)
    if (!answer.ok) throw new Error(await answer.text())
  }

  /** How many jobs of this name were ever submitted. */
  async submitted(name: string): Promise<number> {
    const ledger = await this.server.ledger()
    return ledger.filter((row) => row.effect === 'submitted' && row.name === name).length
  }

  async #fetch(...call: Parameters<typeof fetch>): Promise<Response> {
    const answer = await fetch(...call)
    if (!this.tamper || !answer.url.includes('/api/get')) return answer
    const given = (await answer.json()) as { return_value?: string }
    if (given.return_value === undefined) return Response.json(given, answer)
    const changed = JSON.stringify(this.tamper(JSON.parse(given.return_value)))
    return Response.json({ ...given, return_value: changed }, { headers: answer.headers })
  }
}

/** The rows of a listing, each without its id: no client can read them. */
export const unreadable: Tamper = (value) => {
  const rows = Array.isArray(value) ? value : (value as { jobs?: unknown }).jobs
  if (!Array.isArray(rows)) return value
  const spoiled = rows.map((row: object) => Object.assign(row, { job_id: 'seven', name: 7 }))
  return Array.isArray(value) ? spoiled : { ...(value as object), jobs: spoiled }
}
