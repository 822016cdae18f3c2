import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { now } from './database.ts'
import { placeFiles } from './files.ts'
import { taskOf } from './jobs.ts'
import { RequestFailure } from './requests.ts'
import { Run, type RunStand } from './run.ts'
import type { ReplicaRow, ServiceRow, ServiceState } from './service-state.ts'
import { replicaSurroundings } from './surroundings.ts'
import type { JobTask } from './task.ts'

const TICK_MS = 100
const POLL_MS = 25

/** A version whose replicas fail so often in a row is given up. */
const FAILURES_MAX = 3

interface Options {
  home: string
  graceMs: number
  log: (message: string, fields?: Record<string, unknown>) => void
}

/** Keeps the replicas of services running, as processes of this machine. There is no load balancer before them. */
export class Services {
  readonly #state: ServiceState
  readonly #options: Options
  readonly #runs = new Map<string, Run>()
  #timer: NodeJS.Timeout | undefined

  constructor(state: ServiceState, options: Options) {
    this.#state = state
    this.#options = options
  }

  /** Begins to look after the services, also those of an earlier server. */
  start(): void {
    this.#timer = setInterval(() => this.tick(), TICK_MS)
    this.tick()
  }

  /** Stops looking after the services. Their replicas go on. */
  close(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /**
   * Begins a service.
   * @throws RequestFailure when there is one of that name, or the task is none of a service
   */
  up(name: string, task: JobTask, yaml: string, userId: string): void {
    if (this.#state.services().some((service) => service.name === name))
      throw new RequestFailure('RuntimeError', `Service name '${name}' is already taken.`)
    refuseOtherTasks(task)
    this.#state.add({ name, task: JSON.stringify(task), yaml, user_hash: userId })
    this.tick()
  }

  /** A new version: its replicas are started, and take over when they are ready. */
  update(name: string, task: JobTask, yaml: string): void {
    const service = this.known(name)
    refuseOtherTasks(task)
    const change = { task: JSON.stringify(task), yaml, version: service.version + 1, failures: 0 }
    this.#state.change(service, change, 'service-updated')
    this.tick()
  }

  /** Ends services. Resolves when nothing of them is left. */
  async down(names: readonly string[] | null): Promise<void> {
    const chosen = names === null ? this.#state.services() : names.map((name) => this.known(name))
    for (const service of chosen) this.#state.change(service, { ending: 1 })
    const left = new Set(chosen.map(({ name }) => name))
    while (this.#state.services().some(({ name }) => left.has(name))) {
      if (this.#timer === undefined) throw new Error('the server is closing')
      this.tick()
      await sleep(POLL_MS)
    }
  }

  /** Ends one replica; another takes its place. */
  terminate(name: string, replicaId: number): void {
    const replica = this.#state.replicas(this.known(name).name).find((row) => row.replica_id === replicaId)
    if (!replica)
      throw new RequestFailure('ValueError', `Replica ${replicaId} of service '${name}' not found.`)
    this.#state.setStatus(replica, 'SHUTTING_DOWN')
    this.tick()
  }

  /** @throws RequestFailure for a service that is not there */
  known(name: string): ServiceRow {
    const service = this.#state.services().find((row) => row.name === name)
    if (!service) throw new RequestFailure('ValueError', `Service '${name}' does not exist.`)
    return service
  }

  /** Folder of a replica's files. */
  folder({ service, replica_id: replicaId }: Pick<ReplicaRow, 'service' | 'replica_id'>): string {
    return join(this.#folderOf(service), `replica-${replicaId}`, 'node-0')
  }

  /** Brings every service one step on. Safe at any time. */
  tick(): void {
    if (this.#timer === undefined) return
    for (const service of this.#state.services()) {
      try {
        this.#step(service)
      } catch (error) {
        this.#options.log('a service could not be looked after', {
          service: service.name,
          error: String(error),
        })
      }
    }
  }

  #folderOf(service: string): string {
    return join(this.#options.home, 'services', service)
  }

  #step({ name }: ServiceRow): void {
    for (const replica of this.#state.replicas(name)) this.#look(this.known(name), replica)
    // What was just seen is in it.
    const service = this.known(name)
    const replicas = this.#state.replicas(service.name)
    if (service.ending === 1) {
      if (replicas.length > 0) return
      this.#state.remove(service)
      rmSync(this.#folderOf(service.name), { recursive: true, force: true, maxRetries: 3 })
      return
    }
    const wanted = taskOf(service).replicas ?? 1
    const current = replicas.filter(({ version, status }) => version === service.version && isLive(status))
    if (current.length < wanted && service.failures < FAILURES_MAX) this.#state.addReplica(service)
    const ready = current.filter(({ status }) => status === 'READY').length
    for (const replica of replicas) {
      const isOld = replica.version < service.version && ready >= wanted
      const isSurplus = current.indexOf(replica) >= wanted
      if ((isOld || isSurplus) && replica.status !== 'SHUTTING_DOWN')
        this.#state.setStatus(replica, 'SHUTTING_DOWN')
    }
  }

  #look(service: ServiceRow, replica: ReplicaRow): void {
    const run = this.#run(service, replica)
    if (service.ending === 1 || replica.status === 'SHUTTING_DOWN') {
      if (replica.status !== 'SHUTTING_DOWN') this.#state.setStatus(replica, 'SHUTTING_DOWN')
      if (!run.stop()) return
      this.#runs.delete(keyOf(replica))
      this.#state.removeReplica(replica)
      return
    }
    if (!isLive(replica.status)) return
    if (replica.status === 'PROVISIONING' && !run.isClaimed())
      placeFiles(taskOf(replica), this.#options.home, service.user_hash, join(this.folder(replica), '..'))
    const status = REPLICA_STATUS[run.look().kind]
    if (status !== undefined) this.#become(service, replica, status)
  }

  #become(service: ServiceRow, replica: ReplicaRow, status: string): void {
    if (replica.status === status) return
    this.#state.setStatus(replica, status)
    if (replica.version !== service.version) return
    if (status === 'FAILED') this.#state.change(service, { failures: service.failures + 1 })
    if (status === 'READY' && service.first_ready_at === null)
      this.#state.change(service, { first_ready_at: now() })
  }

  #run(service: ServiceRow, replica: ReplicaRow): Run {
    const key = keyOf(replica)
    const known = this.#runs.get(key)
    if (known) return known
    const task = taskOf(replica)
    const folder = this.folder(replica)
    const run = new Run({
      folders: [folder],
      spec: () => ({
        folder,
        setup: task.setup,
        run: task.run ?? ':',
        env: replicaSurroundings(service.name, replica.replica_id, replica.launched_at, task),
      }),
      graceMs: this.#options.graceMs,
      onProcess: () => this.#state.noteProcess(replica),
      onChange: () => setImmediate(() => this.tick()),
    })
    this.#runs.set(key, run)
    return run
  }
}

/** What a run's stand means for its replica. There is no probe: one that runs is ready. */
const REPLICA_STATUS: Partial<Record<RunStand['kind'], string>> = {
  'setting-up': 'STARTING',
  running: 'READY',
  ended: 'FAILED',
  lost: 'FAILED',
  'not-started': 'FAILED',
}

const keyOf = (replica: ReplicaRow): string => `${replica.service}/${replica.replica_id}`

/** Whether a replica serves, or will. */
const isLive = (status: string): boolean => ['PROVISIONING', 'STARTING', 'READY'].includes(status)

/** How a service stands, from its replicas. */
export function serviceStatus(service: ServiceRow, replicas: readonly ReplicaRow[]): string {
  if (service.ending === 1) return 'SHUTTING_DOWN'
  if (replicas.some(({ status }) => status === 'READY')) return 'READY'
  if (service.failures >= FAILURES_MAX) return 'FAILED'
  return taskOf(service).replicas === 0 ? 'NO_REPLICA' : 'REPLICA_INIT'
}

function refuseOtherTasks(task: JobTask): void {
  if (task.replicas === null)
    throw new RequestFailure('ValueError', 'Service section not found in the YAML file.')
  if (task.run === null) throw new RequestFailure('ValueError', 'A service needs a command to run.')
}
