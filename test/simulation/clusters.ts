import { type Context, note, SkyError } from './context.ts'
import { isLive, type Job, type JobLives } from './jobs.ts'
import type { Request } from './skypilot.ts'

export interface SimCluster {
  name: string
  status: string
  launchedAtMs: number
  autostopMinutes: number | null
  jobs: Job[]
  /** Without it the cluster looks UP and cannot be talked to. */
  isRuntimeReady: boolean
  idleSinceMs: number
}

type Stage = readonly [afterMs: number, work: () => void]

/** Clusters and their jobs. One request at a time works on a cluster; the others wait for its lock. */
export class Clusters {
  readonly byName = new Map<string, SimCluster>()
  readonly #context: Context
  readonly #lives: JobLives
  readonly #waiting = new Map<string, Array<() => void>>()

  constructor(context: Context, lives: JobLives) {
    this.#context = context
    this.#lives = lives
  }

  /** Provisions or reuses the cluster and submits one more job, as SkyPilot does for every launch that it takes. */
  launch(request: Request, clusterName: string, jobName: string): void {
    const { random, faults } = this.#context
    const isRefused = random.chance(faults.launchRefused)
    const slow = random.chance(faults.slowLaunch) ? random.int(20_000, 240_000) : random.int(5_000, 20_000)
    const breaks = random.chance(faults.launchBreaks)
    const comes = !breaks || random.chance(0.5)
    this.#locked(request, clusterName, () => {
      const existing = this.byName.get(clusterName)
      const isUp = existing?.status === 'UP' && existing.isRuntimeReady
      const stages: Stage[] = [
        [random.int(1_000, 3_000), () => this.#provision(clusterName)],
        [
          isUp ? 1_000 : slow,
          () => {
            if (isRefused && !isUp) this.#refuse(request, clusterName)
            else this.#up(clusterName)
          },
        ],
        [
          random.int(1_000, 3_000),
          () => {
            if (comes) this.#submit(request, clusterName, jobName)
            if (breaks) this.#break(clusterName)
          },
        ],
      ]
      return stages
    })
  }

  exec(request: Request, clusterName: string, jobName: string): void {
    const { random } = this.#context
    this.#locked(request, clusterName, () => [
      [
        random.int(1_000, 3_000),
        () => {
          this.#ready(clusterName)
          this.#submit(request, clusterName, jobName)
        },
      ],
    ])
  }

  start(request: Request, name: string): void {
    const { random } = this.#context
    this.#locked(request, name, () => [
      [
        1_000,
        () => {
          const cluster = this.#existing(name)
          if (cluster.status === 'STOPPED') this.#set(cluster, 'INIT')
        },
      ],
      [random.int(5_000, 30_000), () => this.#up(name)],
    ])
  }

  stop(request: Request, name: string): void {
    const { random, faults } = this.#context
    const isUnsupported = random.chance(faults.stopUnsupported)
    this.#locked(request, name, () => [
      [
        random.int(2_000, 10_000),
        () => {
          const cluster = this.#existing(name)
          if (isUnsupported) throw new SkyError('rejected', 'stopping is not supported', 'NotSupportedError')
          this.#stopNow(cluster)
        },
      ],
    ])
  }

  down(request: Request, name: string): void {
    const { random } = this.#context
    this.#locked(request, name, () => [
      [
        random.int(2_000, 6_000),
        () => {
          this.#existing(name)
          this.remove(name)
        },
      ],
    ])
  }

  setAutostop(request: Request, name: string, minutes: number | null): void {
    this.#locked(request, name, () => [
      [
        500,
        () => {
          this.#ready(name).autostopMinutes = minutes
        },
      ],
    ])
  }

  /** What happens behind SkyPilot's back: the machines are gone, and soon the row with them. */
  remove(name: string): void {
    const cluster = this.byName.get(name)
    if (!cluster) return
    for (const job of cluster.jobs) this.#lives.end(job, 'CANCELLED', 'its cluster is gone')
    this.byName.delete(name)
    note(this.#context, { kind: 'change', name, text: 'cluster is gone' })
  }

  jobsOn(name: string): Job[] {
    return this.#ready(name).jobs
  }

  /** Clusters that stop themselves, and those that a dead launch left behind half made. */
  tick(hasRequest: (name: string) => boolean): void {
    const { nowMs } = this.#context.engine
    for (const cluster of this.byName.values()) {
      if (cluster.jobs.some(isLive)) cluster.idleSinceMs = nowMs
      const limit = cluster.autostopMinutes
      if (cluster.status === 'UP' && limit !== null && nowMs - cluster.idleSinceMs > limit * 60_000)
        this.#stopNow(cluster)
      if (cluster.status === 'INIT' && !hasRequest(cluster.name) && nowMs - cluster.idleSinceMs > 120_000) {
        cluster.isRuntimeReady = false
        this.#set(cluster, 'UP')
      }
    }
  }

  #locked(request: Request, name: string, stages: () => readonly Stage[]): void {
    const run = (): void => this.#stages(request, name, stages(), 0)
    const queue = this.#waiting.get(name)
    if (queue) queue.push(run)
    else {
      this.#waiting.set(name, [])
      run()
    }
  }

  #stages(request: Request, name: string, stages: readonly Stage[], index: number): void {
    const stage = stages[index]
    if (!stage || request.isStopped) {
      if (!request.isStopped) request.end()
      this.#release(name)
      return
    }
    const [afterMs, work] = stage
    this.#context.engine.after(afterMs, () => {
      if (!request.isStopped) {
        try {
          work()
        } catch (error) {
          request.fail(error)
        }
      }
      this.#stages(request, name, stages, request.error === null ? index + 1 : stages.length)
    })
  }

  #release(name: string): void {
    const next = this.#waiting.get(name)?.shift()
    if (next) next()
    else this.#waiting.delete(name)
  }

  #provision(name: string): void {
    const { nowMs } = this.#context.engine
    const existing = this.byName.get(name)
    if (existing?.status === 'UP') return
    if (existing) return this.#set(existing, 'INIT')
    const cluster: SimCluster = {
      name,
      status: 'INIT',
      launchedAtMs: nowMs,
      autostopMinutes: null,
      jobs: [],
      isRuntimeReady: false,
      idleSinceMs: nowMs,
    }
    this.byName.set(name, cluster)
    note(this.#context, { kind: 'change', name, text: 'cluster INIT' })
  }

  #refuse(request: Request, name: string): never {
    this.remove(name)
    throw new SkyError('rejected', `no room for ${request.id}`, 'ResourcesUnavailableError')
  }

  #up(name: string): void {
    const cluster = this.#existing(name)
    cluster.isRuntimeReady = true
    cluster.idleSinceMs = this.#context.engine.nowMs
    this.#set(cluster, 'UP')
  }

  #submit(request: Request, clusterName: string, name: string): void {
    const { jobs } = this.#ready(clusterName)
    const job = this.#lives.begin({ jobId: jobs.length + 1, name, clusterName, isForeign: false })
    jobs.push(job)
    request.jobId = job.jobId
  }

  /** Jobs that are there go on, and nobody can see them. */
  #break(name: string): never {
    const cluster = this.#existing(name)
    cluster.isRuntimeReady = false
    this.#set(cluster, 'INIT')
    throw new SkyError('rejected', 'the way to the machines broke', 'CommandError')
  }

  #stopNow(cluster: SimCluster): void {
    for (const job of cluster.jobs) this.#lives.end(job, 'FAILED_DRIVER', null)
    cluster.isRuntimeReady = false
    this.#set(cluster, 'STOPPED')
  }

  #existing(name: string): SimCluster {
    const cluster = this.byName.get(name)
    if (!cluster) throw new SkyError('rejected', `cluster ${name} does not exist`, 'ClusterDoesNotExist')
    return cluster
  }

  #ready(name: string): SimCluster {
    const cluster = this.#existing(name)
    if (cluster.status !== 'UP' || !cluster.isRuntimeReady)
      throw new SkyError('rejected', `cluster ${name} is not up`, 'ClusterNotUpError')
    return cluster
  }

  #set(cluster: SimCluster, status: string): void {
    if (cluster.status === status) return
    cluster.status = status
    note(this.#context, { kind: 'change', name: cluster.name, text: `cluster ${status}` })
  }
}
