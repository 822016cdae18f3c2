import { rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ClusterJobs, workFolder } from './cluster-jobs.ts'
import type { ClusterRow, ClusterState } from './cluster-state.ts'
import { now } from './database.ts'
import type { Faults } from './faults.ts'
import { placeFiles } from './files.ts'
import { taskOf } from './jobs.ts'
import { Locks } from './locks.ts'
import { RequestFailure, type RequestTable, type Work } from './requests.ts'
import { fitsOn, refuseInfeasible, shown } from './resources.ts'
import type { Settings } from './settings.ts'
import { type Autostop, type JobTask, refuseName } from './task.ts'

const CAPACITY_POLL_MS = 50
const AUTOSTOP_LOOK_MS = 200
const HEALTHY = 'All nodes up; SkyPilot runtime healthy.'

interface User {
  id: string
  name: string
}

export interface LaunchOrder {
  name: string
  task: JobTask
  yaml: string
  command: string
  user: User
  dryrun: boolean
  noSetup: boolean
  fast: boolean
  retryUntilUp: boolean
  autostop: Autostop | null
}

interface Parts {
  home: string
  state: ClusterState
  jobs: ClusterJobs
  requests: RequestTable
  faults: Faults
  settings: () => Settings
  log: (message: string, fields?: Record<string, unknown>) => void
}

/** What came of a launch: the cluster, and the job if there was something to run. */
export interface Launched {
  jobId: number | null
  cluster: ClusterRow | null
}

/**
 * Clusters that are folders of this machine. One operation of a cluster at a time; the others wait for its lock, and
 * what is written down before it is done is finished by the next server.
 */
export class Clusters {
  readonly #parts: Parts
  readonly #locks = new Locks()
  readonly #closing = new AbortController()
  #timer: NodeJS.Timeout | undefined

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Begins to look for idle clusters, and finishes what an earlier server had begun to end. */
  start(): void {
    this.#timer = setInterval(() => this.#lookForIdle(), AUTOSTOP_LOOK_MS)
    for (const row of this.#parts.state.clusters()) {
      if (row.ending !== null) void this.#endLater(row)
    }
  }

  close(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#closing.abort()
  }

  /**
   * Provisions a cluster, or takes one that is there, and submits the task as a job of it.
   * @throws RequestFailure in SkyPilot's kinds
   */
  async launch(order: LaunchOrder, work: Work): Promise<Launched> {
    const { name, task } = order
    refuseName(name)
    refuseInfeasible(task.demand, task.numNodes, this.#parts.settings())
    if (order.dryrun) return { jobId: null, cluster: null }
    return this.#alone(name, work, async () => {
      const before = this.#parts.state.cluster(name)
      if (before) refuseMismatch(task, before)
      const wasUp = before?.status === 'UP'
      const row = before ?? this.#create(order)
      if (!wasUp) await this.#provision(row, work, order.retryUntilUp)
      this.#parts.state.change(row, { yaml: order.yaml, command: order.command })
      const autostop = order.autostop ?? task.autostop
      if (autostop) this.#setAutostop(row, autostop)
      work.say('⚙︎ Syncing files.')
      placeFiles(task, this.#parts.home, order.user.id, this.#parts.jobs.disk(row.hash), this.#workOf(row))
      const isSetUp = order.noSetup || (order.fast && wasUp)
      return {
        jobId: this.#submit(row, isSetUp ? { ...task, setup: null } : task, order.user, work),
        cluster: row,
      }
    })
  }

  /**
   * Submits a job to a cluster that is up. Its setup is not run.
   * @throws RequestFailure in SkyPilot's kinds
   */
  async exec(name: string, task: JobTask, user: User, work: Work): Promise<Launched> {
    return this.#alone(name, work, async () => {
      const row = this.upCluster(name, 'executing tasks')
      refuseMismatch(task, row)
      if (task.workdir !== null)
        placeFiles(
          { ...task, fileMounts: {} },
          this.#parts.home,
          user.id,
          this.#parts.jobs.disk(row.hash),
          this.#workOf(row),
        )
      return { jobId: this.#submit(row, { ...task, setup: null }, user, work), cluster: row }
    })
  }

  /** Starts a stopped cluster, or one whose launch was given up. One that is up is left as it is. */
  async startCluster(name: string, autostop: Autostop | null, work: Work): Promise<ClusterRow> {
    return this.#alone(name, work, async () => {
      const row = this.known(name)
      if (row.status !== 'UP') await this.#provision(row, work, false)
      if (autostop) this.#setAutostop(row, autostop)
      return row
    })
  }

  /** Stops a cluster: its jobs end, its disk stays. */
  async stop(name: string, user: User, work: Work): Promise<void> {
    await this.#alone(name, work, async () => {
      const row = this.known(name)
      if (row.status === 'STOPPED') return
      this.#parts.state.change(row, { ending: 'stop' })
      await this.#end(row, 'stop', `Cluster was stopped by user ${user.name} (request ID: ${work.id}).`)
    })
  }

  /** Takes a cluster down, after it has given up every active request for it. */
  async down(name: string, user: User, work: Work): Promise<void> {
    this.#parts.requests.cancelFor(name, work.id)
    await this.#alone(name, work, async () => {
      const row = this.known(name)
      this.#parts.state.change(row, { ending: 'down' })
      await this.#end(row, 'down', `Cluster was terminated by user ${user.name} (request ID: ${work.id}).`)
    })
  }

  /** Sets what becomes of the cluster when it is idle. */
  autostop(name: string, autostop: Autostop): void {
    this.#setAutostop(this.upCluster(name, 'set autostop'), autostop)
  }

  /** A cluster whose machines go away behind SkyPilot's back. */
  async vanish(name: string): Promise<boolean> {
    const row = this.#parts.state.cluster(name)
    if (!row) return false
    await this.#parts.jobs.clear(row)
    this.#parts.state.change(
      row,
      { gone_at: now() },
      { reason: 'All nodes are gone.', effect: 'cluster-vanished' },
    )
    return true
  }

  /** @throws RequestFailure ClusterDoesNotExist */
  known(name: string): ClusterRow {
    const row = this.#parts.state.cluster(name)
    if (row) return row
    throw new RequestFailure('ClusterDoesNotExist', `Cluster '${name}' does not exist.`)
  }

  /** @throws RequestFailure ClusterDoesNotExist, or ClusterNotUpError with what was wanted of it */
  upCluster(name: string, operation: string): ClusterRow {
    const row = this.known(name)
    if (row.status === 'UP' || row.status === 'AUTOSTOPPING') return row
    throw new RequestFailure(
      'ClusterNotUpError',
      row.status === 'INIT'
        ? `Cluster '${name}' has been stopped or not properly set up. Please re-launch it with \`sky start\`.`
        : `${operation[0]?.toUpperCase()}${operation.slice(1)}: skipped for cluster '${name}' (status: ${row.status}). ` +
            'It is only allowed for UP and AUTOSTOPPING clusters.',
    )
  }

  #alone<T>(name: string, work: Work, action: () => Promise<T>): Promise<T> {
    const why = `Cluster '${name}' is locked by another operation (waiting to resume)`
    return this.#locks.hold(
      name,
      (turn) => work.wait(why, turn),
      async () => {
        work.signal.throwIfAborted()
        return action()
      },
    )
  }

  #workOf(row: ClusterRow): string {
    return workFolder(this.#parts.jobs.disk(row.hash))
  }

  #create({ name, task, yaml, command, user }: LaunchOrder): ClusterRow {
    return this.#parts.state.addCluster(
      { name, task: JSON.stringify(task), yaml, command, user_hash: user.id, user_name: user.name },
      'Provisioning on local in this-machine',
    )
  }

  async #provision(row: ClusterRow, work: Work, retry: boolean): Promise<void> {
    const { state, settings } = this.#parts
    const wasStopped = row.status === 'STOPPED'
    state.change(row, {
      status: 'INIT',
      launched_at: now(),
      init_reason: 'Launching (nodes allocated; this-machine)',
      ending: null,
    })
    state.openUsage(row)
    work.say('⚙︎ Launching on Local this-machine.')
    await this.#waitForCapacity(row, work, retry)
    await sleep(settings().provisionMs, undefined, { signal: work.signal })
    state.change(
      row,
      { init_reason: 'Instances launched on local in this-machine' },
      { reason: 'Instances launched on local in this-machine' },
    )
    work.signal.throwIfAborted()
    state.change(
      row,
      { status: 'UP', ever_up: 1, idle_since: now(), init_reason: null },
      { reason: HEALTHY, effect: wasStopped ? 'cluster-started' : 'cluster-up' },
    )
    work.say(`✓ Cluster launched: ${row.name}.  View logs: sky logs --provision ${row.name}`)
  }

  async #waitForCapacity(row: ClusterRow, work: Work, retry: boolean): Promise<void> {
    const { faults, state } = this.#parts
    while (faults.takeFor(row.name, 'no-resource')) {
      if (!retry) {
        state.change(row, { gone_at: now() }, { reason: 'No resources', effect: 'cluster-no-resource' })
        throw new RequestFailure(
          'ResourcesUnavailableError',
          `Failed to provision all possible launchable resources. Relax the task's resource requirements: ${shown(taskOf(row).demand, taskOf(row).numNodes)}\nTo keep retrying until the cluster is up, use the \`--retry-until-up\` flag.`,
        )
      }
      await sleep(CAPACITY_POLL_MS, undefined, { signal: work.signal })
    }
    const shortage = faults.takeFor(row.name, 'no-capacity')
    if (!shortage) return
    state.change(row, { init_reason: 'Launching (pending: Resources; partition: local)' })
    while (faults.stands(shortage)) await sleep(CAPACITY_POLL_MS, undefined, { signal: work.signal })
  }

  #submit(row: ClusterRow, task: JobTask, user: User, work: Work): number | null {
    work.signal.throwIfAborted()
    if (task.run === null && task.setup === null) return null
    const jobId = this.#parts.state.addJob(row, {
      name: task.name,
      task: JSON.stringify(task),
      user_hash: user.id,
      user_name: user.name,
    })
    work.say(`⚙︎ Job submitted, ID: ${jobId}`)
    setImmediate(() => this.#parts.jobs.tick())
    return task.run === null ? null : jobId
  }

  #setAutostop(row: ClusterRow, { idleMinutes, down }: Autostop): void {
    this.#parts.state.change(row, {
      autostop: Math.max(-1, idleMinutes),
      to_down: idleMinutes < 0 || !down ? 0 : 1,
      // The clock begins anew, as on the real server.
      idle_since: now(),
    })
  }

  #lookForIdle(): void {
    const { state, settings } = this.#parts
    const busy = new Set(state.liveJobs().map(({ hash }) => hash))
    const minuteS = settings().autostopMinuteMs / 1_000
    for (const row of state.clusters()) {
      const isIdle = row.status === 'UP' && row.autostop >= 0 && row.ending === null && !busy.has(row.hash)
      if (!isIdle || this.#locks.isHeld(row.name) || now() < row.idle_since + row.autostop * minuteS) continue
      const ending = row.to_down === 1 ? 'down' : 'stop'
      state.change(
        row,
        { status: 'AUTOSTOPPING', ending },
        { reason: 'Cluster is idle: autostop', effect: 'cluster-autostopping' },
      )
      void this.#endLater({ ...row, ending })
    }
  }

  /** Ends a cluster that nobody waits for. */
  async #endLater(row: ClusterRow): Promise<void> {
    const { ending } = row
    if (ending === null) return
    try {
      await this.#locks.hold(
        row.name,
        (turn) => turn,
        async () => {
          const current = this.#parts.state.cluster(row.name)
          if (current?.hash === row.hash && current.ending !== null)
            await this.#end(
              row,
              ending,
              ending === 'stop' ? 'Cluster was stopped.' : 'Cluster was terminated.',
            )
        },
      )
    } catch (error) {
      this.#parts.log('a cluster could not be ended', { cluster: row.name, error: String(error) })
    }
  }

  async #end(row: ClusterRow, ending: 'stop' | 'down', reason: string): Promise<void> {
    const { state, jobs, settings } = this.#parts
    await jobs.clear(row)
    await sleep(settings().stopMs, undefined, { signal: this.#closing.signal })
    if (ending === 'stop') {
      state.change(row, { status: 'STOPPED', ending: null }, { reason, effect: 'cluster-stopped' })
      return
    }
    state.change(row, { gone_at: now(), ending: null }, { reason, effect: 'cluster-down' })
    rmSync(jobs.disk(row.hash), { recursive: true, force: true, maxRetries: 3 })
  }
}

function refuseMismatch(task: JobTask, row: ClusterRow): void {
  const there = taskOf(row)
  if (fitsOn(task, there)) return
  throw new RequestFailure(
    'ResourcesMismatchError',
    'Requested resources do not match the existing cluster.\n' +
      `  Requested:\t{${shown(task.demand, task.numNodes)}}\n` +
      `  Existing:\t${shown(there.demand, there.numNodes)}\n` +
      `To fix: specify a new cluster name, or down the existing cluster first: sky down ${row.name}`,
  )
}
