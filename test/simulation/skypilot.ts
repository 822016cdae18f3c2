import { Clusters } from './clusters.ts'
import { type Context, note, SkyError } from './context.ts'
import { Cancelled, type Steps } from './engine.ts'
import { type Job, JobLives } from './jobs.ts'

export type RequestKind =
  | 'jobs.launch'
  | 'jobs.cancel'
  | 'launch'
  | 'exec'
  | 'start'
  | 'stop'
  | 'down'
  | 'autostop'
  | 'cancel'

/** A request in SkyPilot's table, and the process that works on it: the second may outlive the first. */
export interface Request {
  id: string
  openedAtMs: number
  kind: RequestKind
  jobName: string | null
  clusterName: string | null
  state: 'active' | 'done' | 'failed' | 'cancelled'
  jobId: number | null
  error: SkyError | null
  /** Its process was ended. */
  isStopped: boolean
  /** Somebody who knew of it asked, and was told that there is no such request. */
  isAskedInVain: boolean
  end(): void
  fail(error: unknown): void
}

const TIMEOUT_MS = 5_000
const LATE_MAX_MS = 2_000

/** The SkyPilot API server: a table of requests that is lost when it dies, and tables of jobs and clusters that last. */
export class SkyPilot {
  isUp = true
  /** Changes when the server was restarted: `looks` of before say nothing about requests. */
  life = 1
  readonly jobs = new Map<number, Job>()
  readonly lives: JobLives
  readonly clusters: Clusters
  readonly requests = new Map<string, Request>()
  /** Launches that are worked on, also those that no table shows any more. */
  readonly #working = new Map<string, Request>()
  readonly #context: Context
  #jobIds = 0
  #requestIds = 0

  constructor(context: Context) {
    this.#context = context
    this.lives = new JobLives(context)
    this.clusters = new Clusters(context, this.lives)
    const tick = (): void => {
      this.clusters.tick((name) => this.#activeOn(name).length > 0)
      this.#forgetOld()
      context.engine.after(20_000, tick)
    }
    context.engine.after(20_000, tick)
  }

  /** One call over the network: its answer, or an error that says less than one would like. */
  *call<T>(effect: () => T, lateMaxMs = LATE_MAX_MS): Steps<T> {
    const { engine, random } = this.#context
    yield* this.#onTheWay(effect)
    const { faults } = this.#context
    if (!this.isUp) throw new SkyError('unreachable', 'connection refused')
    if (random.chance(faults.dropBefore)) {
      yield TIMEOUT_MS
      throw new SkyError('unreachable', 'connection reset')
    }
    if (random.chance(faults.late)) {
      engine.after(random.int(100, lateMaxMs), () => this.#quietly(effect))
      yield TIMEOUT_MS / 5
      throw new SkyError('timeout', 'no answer')
    }
    const value = effect()
    if (random.chance(faults.dropAfter)) throw new SkyError('unreachable', 'connection reset')
    yield random.int(5, 50)
    return value
  }

  /** A caller that stops listening does not call back what it has sent. */
  *#onTheWay(effect: () => unknown): Steps<void> {
    const { engine, random } = this.#context
    try {
      yield random.int(5, 50)
    } catch (error) {
      if (error instanceof Cancelled && this.isUp && random.chance(0.3))
        engine.after(random.int(1, 1_000), () => this.#quietly(effect))
      throw error
    }
  }

  #quietly(effect: () => unknown): void {
    if (!this.isUp) return
    try {
      effect()
    } catch (error) {
      if (!(error instanceof SkyError)) throw error
    }
  }

  launchJob(jobName: string): string {
    const { engine, random, faults } = this.#context
    note(this.#context, { kind: 'post', name: jobName, text: 'managed' })
    const request = this.#open('jobs.launch', jobName, null)
    const isRefused = random.chance(faults.launchRefused * 0.5)
    const takesMs = random.chance(faults.slowLaunch) ? random.int(10_000, 25_000) : random.int(3_000, 6_000)
    this.#working.set(request.id, request)
    engine.after(takesMs, () => {
      if (request.isStopped) return
      if (isRefused) return request.fail(new SkyError('rejected', 'no such accelerator', 'ValueError'))
      request.jobId = this.addJob(jobName, false).jobId
      request.end()
    })
    return request.id
  }

  addJob(name: string, isForeign: boolean): Job {
    this.#jobIds += 1
    const job = this.lives.begin({ jobId: this.#jobIds, name, clusterName: null, isForeign })
    this.jobs.set(job.jobId, job)
    return job
  }

  launchOnCluster(kind: 'launch' | 'exec', clusterName: string, jobName: string): string {
    note(this.#context, { kind: 'post', name: jobName, text: `${kind} on ${clusterName}` })
    const request = this.#open(kind, jobName, clusterName)
    this.#working.set(request.id, request)
    this.clusters[kind](request, clusterName, jobName)
    return request.id
  }

  change(kind: 'start' | 'stop' | 'down', clusterName: string): string {
    note(this.#context, { kind: 'change', name: clusterName, text: `asked to ${kind}` })
    if (kind === 'down') for (const request of this.#activeOn(clusterName)) this.#cancelRequest(request, true)
    const request = this.#open(kind, null, clusterName)
    this.clusters[kind](request, clusterName)
    return request.id
  }

  autostop(clusterName: string, minutes: number | null): string {
    const request = this.#open('autostop', null, clusterName)
    this.clusters.setAutostop(request, clusterName, minutes)
    return request.id
  }

  /** SkyPilot always says that it cancelled; whether it did shows in the queue. */
  cancelJob(jobId: number, clusterName: string | null): void {
    const { engine, random } = this.#context
    const job = this.#jobOf(jobId, clusterName)
    note(this.#context, { kind: 'cancel', name: job?.name ?? '', text: `job ${jobId}` })
    const request = this.#open('cancel', null, clusterName)
    engine.after(random.int(500, 2_000), () => {
      if (request.isStopped) return
      request.end()
      if (job) this.lives.cancel(job, random.chance(this.#context.faults.cancelIgnored))
    })
  }

  #jobOf(jobId: number, clusterName: string | null): Job | undefined {
    if (clusterName === null) return this.jobs.get(jobId)
    return this.clusters.jobsOn(clusterName).find((job) => job.jobId === jobId)
  }

  active(): Request[] {
    return [...this.requests.values()].filter(({ state }) => state === 'active')
  }

  #activeOn(clusterName: string): Request[] {
    return this.active().filter((request) => request.clusterName === clusterName)
  }

  /** The answer of a request; undefined while it is worked on. */
  answer(id: string): { jobId: number | null } | undefined {
    const request = this.requests.get(id)
    const forgotten = request ? undefined : this.#working.get(id)
    if (forgotten) forgotten.isAskedInVain = true
    if (!request) throw new SkyError('not-found', `request ${id} is not known`)
    if (request.error) {
      if (request.jobName !== null)
        note(this.#context, { kind: 'look', name: request.jobName, text: 'refused' })
      throw request.error
    }
    if (request.state === 'cancelled') throw new SkyError('cancelled', `request ${id} was cancelled`)
    return request.state === 'done' ? { jobId: request.jobId } : undefined
  }

  /**
   * Is a launch under way that was asked after and denied? One on a cluster counts while it makes the cluster: that can
   * be seen. Without its cluster it comes to nothing, and one that only waits for its turn there no look can show.
   */
  isWorkingUnseen(jobName: string): boolean {
    return [...this.#working.values()].some(
      (request) =>
        request.jobName === jobName &&
        request.isAskedInVain &&
        !request.isStopped &&
        (request.clusterName === null || this.clusters.byName.get(request.clusterName)?.status === 'INIT'),
    )
  }

  abort(id: string): void {
    const request = this.requests.get(id)
    if (request) this.#cancelRequest(request, this.#context.random.chance(0.9))
  }

  #cancelRequest(request: Request, isStopped: boolean): void {
    if (request.state !== 'active') return
    request.state = 'cancelled'
    request.isStopped = isStopped
  }

  /** The server dies. Its table of requests is gone, and what worked on them lives on, or not. */
  kill(): void {
    const { random, faults, engine } = this.#context
    const survive = random.chance(faults.executorsSurvive)
    engine.trace(`skypilot killed, its processes ${survive ? 'live on' : 'die too'}`)
    if (!survive) for (const request of this.requests.values()) request.isStopped = true
    this.requests.clear()
    this.life += 1
    this.isUp = false
  }

  /** What ended an hour ago is not asked for any more. */
  #forgetOld(): void {
    const beforeMs = this.#context.engine.nowMs - 3_600_000
    for (const request of this.requests.values()) {
      if (request.openedAtMs > beforeMs) return
      if (request.state !== 'active') this.requests.delete(request.id)
    }
  }

  #open(kind: RequestKind, jobName: string | null, clusterName: string | null): Request {
    this.#requestIds += 1
    const request: Request = {
      id: `request-${this.#requestIds}`,
      openedAtMs: this.#context.engine.nowMs,
      kind,
      jobName,
      clusterName,
      state: 'active',
      jobId: null,
      error: null,
      isStopped: false,
      isAskedInVain: false,
      end: (): void => {
        this.#working.delete(request.id)
        if (request.state === 'active') request.state = 'done'
      },
      fail: (error: unknown): void => {
        this.#working.delete(request.id)
        if (!(error instanceof SkyError)) throw error
        request.error = error
        if (request.state === 'active') request.state = 'failed'
      },
    }
    this.requests.set(request.id, request)
    return request
  }
}
