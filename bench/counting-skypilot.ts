import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { isRecord } from '../core/spec.ts'
import { answerQueue, isListing } from './counting-queue.ts'

/** A managed job, as far as the bench needs one. */
export interface CountedJob {
  job_id: number
  job_name: string
  status: string
  schedule_state: string
  submitted_at: number
  start_at: number
  end_at: number | null
  recovery_count: number
}

interface PendingRequest {
  name: string
  /** The name of the job of a launch; empty for other requests. */
  jobName: string
  /** The submitted body, as the server shows it while it works. */
  body: string
  result: Promise<unknown>
  isDone: boolean
}

/** What was asked of the server since the counters were last read. */
export interface Counted {
  requests: Map<string, number>
  bytesOut: number
  /** When each listing of all live jobs came in, by `performance.now()`. */
  listingsAtMs: number[]
}

const HEALTH = { status: 'healthy', api_version: '62', version: '0.14.1', commit: 'bench', user: null }

/** Finished requests that are kept, in case they are asked for again. */
const REQUESTS_KEPT_MAX = 2_000

/**
 * A SkyPilot API server that keeps everything in memory, runs nothing and counts what it is asked. It costs next to
 * nothing, so that ten thousand live jobs can be listed beside what is being measured.
 */
export class CountingSkyPilot {
  readonly jobs = new Map<number, CountedJob>()
  /** The newest job of each name. */
  readonly byName = new Map<string, CountedJob>()
  /** When the launch of each job name came in, by `performance.now()`. */
  readonly launchedAtMs = new Map<string, number>()
  /** When each path was asked for last, by `performance.now()`; only for paths of the bench itself. */
  readonly seenAtMs = new Map<string, number>()
  /** How long a launch is worked on. */
  launchMs = 0
  launchesInFlight = 0
  launchesInFlightMax = 0
  /** Told after each listing of all live jobs was answered. */
  onListed: () => void = () => undefined
  readonly #requests = new Map<string, PendingRequest>()
  readonly #server: Server
  #nextJobId = 1
  #held: { promise: Promise<void>; resolve: () => void } | undefined
  #counted: Counted = { requests: new Map(), bytesOut: 0, listingsAtMs: [] }
  /** The listing of all live jobs, which is the same until something changes. */
  #listing: { key: string; text: string } | undefined

  private constructor(server: Server) {
    this.#server = server
  }

  /** Starts it on a free port of the loopback. */
  static async start(): Promise<CountingSkyPilot> {
    const server = createServer()
    const double = new CountingSkyPilot(server)
    server.on('request', (request, response) => {
      double.#serve(request, response).catch((error: unknown) => {
        response.writeHead(500, { 'Content-Type': 'text/plain' }).end(String(error))
      })
    })
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(0, '127.0.0.1', resolve)
    })
    return double
  }

  get url(): string {
    const address = this.#server.address()
    return `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`
  }

  async close(): Promise<void> {
    this.release()
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.#server.closeAllConnections()
    await closed
  }

  /** Reads the counters and starts them afresh. */
  readCounters(): Counted {
    const counted = this.#counted
    this.#counted = { requests: new Map(), bytesOut: 0, listingsAtMs: [] }
    return counted
  }

  /** Lets listings of all live jobs wait from now on, so that the look-out rests. */
  hold(): void {
    this.#held ??= Promise.withResolvers<void>()
  }

  release(): void {
    this.#held?.resolve()
    this.#held = undefined
  }

  /** Changes a job, which the next listing shows. */
  change(job: CountedJob, to: Partial<CountedJob>): void {
    Object.assign(job, to)
    this.#listing = undefined
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://localhost')
    const { requests } = this.#counted
    requests.set(url.pathname, (requests.get(url.pathname) ?? 0) + 1)
    if (url.pathname.startsWith('/bench/')) this.seenAtMs.set(url.pathname, performance.now())
    if (url.pathname === '/api/health') return this.#send(response, JSON.stringify(HEALTH))
    if (url.pathname === '/api/get') return this.#get(url, response)
    if (url.pathname === '/api/status') return this.#send(response, JSON.stringify(this.#active()))
    const given = await bodyOf(request)
    const id = this.#submit(url.pathname, given)
    return this.#send(response, 'null', { 'X-Skypilot-Request-ID': id })
  }

  #send(response: ServerResponse, text: string, headers: Record<string, string> = {}): void {
    this.#counted.bytesOut += text.length
    response
      .writeHead(200, { 'Content-Type': 'application/json', 'X-SkyPilot-API-Version': '62', ...headers })
      .end(text)
  }

  async #get(url: URL, response: ServerResponse): Promise<void> {
    const id = url.searchParams.get('request_id') ?? ''
    const found = this.#requests.get(id)
    if (!found) {
      response.writeHead(404, { 'Content-Type': 'application/json' }).end('{"detail":"not found"}')
      return
    }
    const value = await found.result
    this.#send(
      response,
      JSON.stringify({
        request_id: id,
        name: found.name,
        status: 'SUCCEEDED',
        return_value: typeof value === 'string' ? value : JSON.stringify(value),
        error: 'null',
        request_body: 'gAROLg==',
      }),
    )
  }

  #active(): unknown[] {
    return [...this.#requests]
      .filter(([, { isDone }]) => !isDone)
      .map(([id, { name, body }]) => ({ request_id: id, name, status: 'RUNNING', request_body: body }))
  }

  #submit(path: string, given: Record<string, unknown>): string {
    const id = randomUUID()
    const jobName = path === '/jobs/launch' && typeof given['name'] === 'string' ? given['name'] : ''
    const pending: PendingRequest = {
      name: `sky.${path.slice(1).replaceAll('/', '.').replace('.v2', '_v2')}`,
      jobName,
      body: jobName === '' ? 'null' : JSON.stringify(given),
      isDone: false,
      result: this.#work(path, jobName, given).finally(() => {
        pending.isDone = true
      }),
    }
    this.#requests.set(id, pending)
    for (const [oldest, { isDone }] of this.#requests) {
      if (this.#requests.size <= REQUESTS_KEPT_MAX || !isDone) break
      this.#requests.delete(oldest)
    }
    return id
  }

  async #work(path: string, jobName: string, given: Record<string, unknown>): Promise<unknown> {
    switch (path) {
      case '/jobs/launch':
        return this.#launch(jobName)
      case '/jobs/queue/v2':
        return this.#queue(given)
      case '/jobs/cancel':
        return this.#cancel(given['job_ids'])
      case '/status':
      case '/queue':
      case '/cost_report':
        return []
      default:
        return null
    }
  }

  async #launch(name: string): Promise<unknown> {
    this.launchedAtMs.set(name, performance.now())
    this.launchesInFlight += 1
    this.launchesInFlightMax = Math.max(this.launchesInFlightMax, this.launchesInFlight)
    await sleep(this.launchMs, undefined, { ref: false })
    this.launchesInFlight -= 1
    const nowS = Date.now() / 1_000
    const job: CountedJob = {
      job_id: this.#nextJobId++,
      job_name: name,
      status: 'RUNNING',
      schedule_state: 'ALIVE',
      submitted_at: nowS,
      start_at: nowS,
      end_at: null,
      recovery_count: 0,
    }
    this.jobs.set(job.job_id, job)
    this.byName.set(name, job)
    this.#listing = undefined
    return { job_id: [job.job_id], handle: 'gAROLg==' }
  }

  async #queue(query: Record<string, unknown>): Promise<string> {
    if (!isListing(query)) return answerQueue(this, query)
    this.#counted.listingsAtMs.push(performance.now())
    await this.#held?.promise
    const key = JSON.stringify([query['fields'], query['page'], query['limit'], query['statuses']])
    if (this.#listing?.key !== key) this.#listing = { key, text: answerQueue(this, query) }
    const { text } = this.#listing
    // Only once this answer is fixed may the next changes happen.
    setImmediate(() => this.onListed())
    return text
  }

  #cancel(ids: unknown): null {
    for (const id of Array.isArray(ids) ? ids : []) {
      const job = this.jobs.get(Number(id))
      if (job?.end_at === null)
        this.change(job, { status: 'CANCELLED', schedule_state: 'DONE', end_at: Date.now() / 1_000 })
    }
    return null
  }
}

async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = []
  for await (const chunk of request) if (Buffer.isBuffer(chunk)) chunks.push(chunk)
  const value: unknown = chunks.length === 0 ? {} : JSON.parse(Buffer.concat(chunks).toString('utf8'))
  return isRecord(value) ? value : {}
}
