import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type LocalSkyPilot,
  type LocalSkyPilotOptions,
  startLocalSkyPilot,
} from '../../local/skypilot/server.ts'

export interface Job {
  job_id: number
  job_name: string
  status: string
  schedule_state: string
  failure_reason: string | null
  start_at: number | null
  end_at: number | null
}
export interface LedgerRow {
  at: number
  effect: string
  job_id: number
  name: string
  detail: string | null
}
interface Queue {
  jobs: Job[]
  total: number
  total_no_filter: number
  status_counts: Record<string, number>
}
interface Payload {
  status: string
  return_value: string
  error: string
}

const VERSIONS = { 'X-SkyPilot-API-Version': '62', 'X-SkyPilot-Version': '0.14.1' }

/** A local SkyPilot in a folder of its own, and the calls that the tests make of it. */
export class TestSkyPilot {
  readonly home = mkdtempSync(join(tmpdir(), 'local-skypilot-'))
  #server: LocalSkyPilot | undefined
  /** For the next start. */
  readonly options: Partial<LocalSkyPilotOptions> = {}

  async start(): Promise<this> {
    this.#server = await startLocalSkyPilot({
      home: this.home,
      port: 0,
      slots: 8,
      graceMs: 300,
      ...this.options,
    })
    return this
  }

  async stop(): Promise<void> {
    await this.#server?.close()
    this.#server = undefined
  }

  /** Ends everything that it started, and removes its folder. */
  async dispose(): Promise<void> {
    await this.stop()
    for (const pid of this.processes()) process.kill(pid, 'SIGKILL')
    rmSync(this.home, { recursive: true, force: true, maxRetries: 5 })
  }

  /** Living processes that work in our folder, or were started from it. */
  processes(): number[] {
    const lines = execFileSync('ps', ['-eo', 'pid=,stat=,args='], { encoding: 'utf8' }).split('\n')
    return lines
      .filter((line) => line.includes(this.home) && !/^\s*\d+\s+Z/.test(line))
      .map((line) => Number.parseInt(line, 10))
      .filter((pid) => pid !== process.pid)
  }

  get url(): string {
    if (!this.#server) throw new Error('it does not run')
    return this.#server.url
  }

  post(path: string, body: unknown = {}, init: RequestInit = {}): Promise<Response> {
    return fetch(`${this.url}${path}`, {
      method: 'POST',
      headers: { ...VERSIONS, 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
      ...init,
    })
  }

  get(path: string): Promise<Response> {
    return fetch(`${this.url}${path}`, { headers: VERSIONS })
  }

  async payload(requestId: string): Promise<Payload> {
    const answer = (await (await this.get(`/api/get?request_id=${requestId}`)).json()) as Payload & {
      detail?: Payload
    }
    return answer.detail ?? answer
  }

  async call<T>(path: string, body: unknown = {}): Promise<T> {
    const id = (await this.post(path, body)).headers.get('x-skypilot-request-id') ?? ''
    const { status, return_value: value, error } = await this.payload(id)
    if (status !== 'SUCCEEDED') throw new Error(error)
    return JSON.parse(value) as T
  }

  async launch(run: string, more: Record<string, unknown> = {}, name = 'job'): Promise<number> {
    const result = await this.call<{ job_id: number[] }>('/jobs/launch', {
      task: JSON.stringify({ run, ...more }),
      name,
    })
    return result.job_id[0]!
  }

  queue(body: Record<string, unknown> = {}): Promise<Queue> {
    return this.call<Queue>('/jobs/queue/v2', { all_users: true, ...body })
  }

  async job(jobId: number): Promise<Job> {
    const { jobs } = await this.queue({ job_ids: [jobId] })
    return jobs[0]!
  }

  /** Waits until a job is so. */
  async until(jobId: number, status: string, timeoutMs = 15_000): Promise<Job> {
    for (const untilMs = performance.now() + timeoutMs; ;) {
      const job = await this.job(jobId)
      if (job.status === status) return job
      if (performance.now() > untilMs)
        throw new Error(`job ${jobId} is ${job.status} (${job.failure_reason}), not ${status}`)
      await sleep(25)
    }
  }

  async logs(jobId: number, body: Record<string, unknown> = {}): Promise<string> {
    return (await this.post('/jobs/logs', { job_id: jobId, ...body })).text()
  }

  async ledger(): Promise<LedgerRow[]> {
    return (await (await this.get('/local/ledger')).json()) as LedgerRow[]
  }

  async count(effect: string): Promise<number> {
    return (await this.ledger()).filter((row) => row.effect === effect).length
  }
}
