import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ClusterJobRow, ClusterRow, ClusterState } from './cluster-state.ts'
import { now } from './database.ts'
import { taskOf } from './jobs.ts'
import { Run } from './run.ts'
import { clusterSurroundings } from './surroundings.ts'

const TICK_MS = 50
const CLEAR_POLL_MS = 25

/** Why a job shall end: somebody said so, or its machine goes. */
const CANCELLED = 1
const STOPPED = 2

interface Options {
  home: string
  graceMs: number
  log: (message: string, fields?: Record<string, unknown>) => void
}

/** Runs the jobs of clusters as processes of this machine: each cluster is a queue of its own, and a folder. */
export class ClusterJobs {
  readonly #state: ClusterState
  readonly #options: Options
  readonly #runs = new Map<string, Run>()
  #timer: NodeJS.Timeout | undefined

  constructor(state: ClusterState, options: Options) {
    this.#state = state
    this.#options = options
  }

  /** Begins to look after the jobs, also those of an earlier server. */
  start(): void {
    this.#timer = setInterval(() => this.tick(), TICK_MS)
    this.tick()
  }

  /** Stops looking after the jobs. They go on. */
  close(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /** The disk of a cluster: it stays while the cluster is stopped. */
  disk(hash: string): string {
    return join(this.#options.home, 'clusters', hash)
  }

  /** Folder of a node's files. */
  folder({ hash, job_id: jobId }: Pick<ClusterJobRow, 'hash' | 'job_id'>, rank: number): string {
    return join(this.disk(hash), 'jobs', String(jobId), `node-${rank}`)
  }

  /** Asks for the end of a job. False when it is over already. */
  cancel(row: ClusterRow, job: ClusterJobRow): boolean {
    if (job.end_at !== null) return false
    this.#state.changeJob(row, job, { cancel_asked: CANCELLED })
    this.#soon()
    return true
  }

  /** Ends all jobs of a cluster, because its machines go. Resolves when nothing of them is left. */
  async clear(row: ClusterRow): Promise<void> {
    for (;;) {
      const left = this.#state.liveJobs().filter(({ hash }) => hash === row.hash)
      for (const job of left)
        if (job.cancel_asked === 0) this.#state.changeJob(row, job, { cancel_asked: STOPPED })
      if (left.length === 0) return
      if (this.#timer === undefined) throw new Error('the server is closing')
      this.tick()
      await sleep(CLEAR_POLL_MS)
    }
  }

  /** Brings every job one step on. Safe at any time. */
  tick(): void {
    if (this.#timer === undefined) return
    const clusters = new Map(this.#state.clusters().map((row) => [row.hash, row]))
    for (const job of this.#state.liveJobs()) {
      const row = clusters.get(job.hash)
      if (row !== undefined) this.#guard(job, () => this.#look(row, job))
    }
    for (const row of clusters.values()) if (row.status === 'UP' && row.ending === null) this.#schedule(row)
  }

  #soon(): void {
    setImmediate(() => this.tick())
  }

  #guard(job: ClusterJobRow, work: () => void): void {
    try {
      work()
    } catch (error) {
      const fields = { cluster: job.hash, jobId: job.job_id, error: String(error) }
      this.#options.log('a job of a cluster could not be looked after', fields)
    }
  }

  /** First come, first served: a job that does not fit beside the others holds back those behind it. */
  #schedule(row: ClusterRow): void {
    const jobs = this.#state.liveJobs().filter(({ hash }) => hash === row.hash)
    const free = roomOf(row)
    for (const job of jobs.filter(({ status }) => status !== 'PENDING')) take(free, job)
    for (const job of jobs.filter(({ status }) => status === 'PENDING')) {
      if (!take(free, job)) return
      this.#guard(job, () => {
        this.#state.changeJob(row, job, { status: 'SETTING_UP' })
        this.#run(row, job).begin()
      })
    }
  }

  #run(row: ClusterRow, job: ClusterJobRow): Run {
    const key = `${job.hash}/${job.job_id}`
    const known = this.#runs.get(key)
    if (known) return known
    const task = taskOf(job)
    const home = this.disk(job.hash)
    const place = {
      cluster: row.name,
      jobId: job.job_id,
      submittedAt: job.submitted_at,
      userName: job.user_name,
      home: join(home, 'home'),
    }
    const run = new Run({
      folders: Array.from({ length: task.numNodes }, (_, rank) => this.folder(job, rank)),
      spec: (rank) => ({
        folder: this.folder(job, rank),
        setup: task.setup,
        run: task.run ?? ':',
        env: clusterSurroundings(place, task, rank),
        directory: workFolder(home),
      }),
      graceMs: this.#options.graceMs,
      onProcess: (rank) => this.#state.noteProcess(row, job, rank),
      onChange: () => this.#soon(),
    })
    this.#runs.set(key, run)
    return run
  }

  #look(row: ClusterRow, job: ClusterJobRow): void {
    if (job.cancel_asked !== 0) return this.#cancelling(row, job)
    if (job.status === 'PENDING') return undefined
    const run = this.#run(row, job)
    const stand = run.look()
    const startAt = job.status === 'SETTING_UP' ? run.startAt() : undefined
    if (startAt !== undefined) {
      this.#state.changeJob(row, job, { status: 'RUNNING', start_at: startAt })
      return this.#soon()
    }
    switch (stand.kind) {
      case 'ended':
        return this.#ended(row, job, stand)
      case 'lost':
      case 'not-started':
        return this.#end(row, job, 'FAILED_DRIVER', { ended: stand.kind })
      case 'starting':
      case 'setting-up':
      case 'running':
      case 'clearing':
        return undefined
    }
  }

  #ended(row: ClusterRow, job: ClusterJobRow, stand: { phase: 'setup' | 'run'; code: number }): void {
    const { phase, code } = stand
    const failed = phase === 'setup' ? 'FAILED_SETUP' : 'FAILED'
    this.#end(row, job, code === 0 ? 'SUCCEEDED' : failed, { code, ended: `${phase} ${code}` })
  }

  #cancelling(row: ClusterRow, job: ClusterJobRow): void {
    const status = job.cancel_asked === STOPPED ? 'FAILED_DRIVER' : 'CANCELLED'
    if (job.status === 'PENDING') return this.#end(row, job, status, {})
    if (this.#run(row, job).stop()) this.#end(row, job, status, { ended: status.toLowerCase() })
    return undefined
  }

  #end(row: ClusterRow, job: ClusterJobRow, status: string, more: { code?: number; ended?: string }): void {
    const key = `${job.hash}/${job.job_id}`
    const byItself = job.cancel_asked === 0 ? this.#runs.get(key)?.endAt() : undefined
    this.#runs.delete(key)
    this.#state.changeJob(
      row,
      job,
      { status, end_at: byItself ?? now(), exit_code: more.code ?? null },
      more.ended,
    )
    this.#soon()
  }
}

/** Where the jobs of a cluster work: one folder for all of them, as on a real one. */
export const workFolder = (disk: string): string => join(disk, 'home', 'sky_workdir')

interface Room {
  cpus: number
  accelerators: number
}

/** What a cluster has; what its task did not ask for is not counted. */
function roomOf(row: ClusterRow): Room {
  const { demand, numNodes } = taskOf(row)
  return {
    cpus: (demand.cpus ?? Number.POSITIVE_INFINITY) * numNodes,
    accelerators: (demand.accelerator?.count ?? 0) * numNodes,
  }
}

/** Takes what a job needs of it. False when that is not there. */
function take(free: Room, job: ClusterJobRow): boolean {
  const { demand, numNodes } = taskOf(job)
  const accelerators = (demand.accelerator?.count ?? 0) * numNodes
  const cpus = accelerators > 0 ? 0 : (demand.cpus ?? 1) * numNodes
  if (cpus > free.cpus || accelerators > free.accelerators) return false
  free.cpus -= cpus
  free.accelerators -= accelerators
  return true
}
