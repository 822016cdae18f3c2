import { z } from 'zod'
import { type Database, now } from './database.ts'

const SCHEMA = `
  create table if not exists service (
    name text primary key,
    version integer not null,
    task text not null,
    yaml text not null,
    last_replica_id integer not null default 0,
    -- Replicas of this version that failed, one after the other.
    failures integer not null default 0,
    submitted_at real not null,
    first_ready_at real,
    ending integer not null default 0,
    user_hash text not null
  ) strict;
  create table if not exists replica (
    service text not null,
    replica_id integer not null,
    version integer not null,
    task text not null,
    status text not null,
    launched_at real not null,
    primary key (service, replica_id)
  ) strict;
`

const ServiceRow = z.object({
  name: z.string(),
  version: z.int(),
  task: z.string(),
  yaml: z.string(),
  last_replica_id: z.int(),
  failures: z.int(),
  submitted_at: z.number(),
  first_ready_at: z.number().nullable(),
  ending: z.int(),
  user_hash: z.string(),
})
/** A service: so many replicas of one task. Times are seconds since the epoch. */
export type ServiceRow = z.infer<typeof ServiceRow>

const ReplicaRow = z.object({
  service: z.string(),
  replica_id: z.int(),
  version: z.int(),
  task: z.string(),
  status: z.string(),
  launched_at: z.number(),
})
export type ReplicaRow = z.infer<typeof ReplicaRow>

/** Services and their replicas. */
export class ServiceState {
  readonly #database: Database
  #all: ServiceRow[] | undefined
  #replicas: ReplicaRow[] | undefined

  constructor(database: Database) {
    this.#database = database
    database.define(SCHEMA)
  }

  services(): readonly ServiceRow[] {
    this.#all ??= this.#database.rows(ServiceRow, 'select * from service order by submitted_at desc')
    return this.#all
  }

  replicas(service: string): ReplicaRow[] {
    this.#replicas ??= this.#database.rows(ReplicaRow, 'select * from replica order by replica_id')
    return this.#replicas.filter((replica) => replica.service === service)
  }

  add(given: Pick<ServiceRow, 'name' | 'task' | 'yaml' | 'user_hash'>): void {
    this.#changing(() => {
      this.#database.run(
        'insert into service (name, version, task, yaml, submitted_at, user_hash) values (?, 1, ?, ?, ?, ?)',
        given.name,
        given.task,
        given.yaml,
        now(),
        given.user_hash,
      )
      this.#database.note({ effect: 'service-created', name: given.name })
    })
  }

  change(service: Pick<ServiceRow, 'name'>, change: Partial<ServiceRow>, effect?: string): void {
    const columns = Object.entries(change)
    this.#changing(() => {
      this.#database.run(
        `update service set ${columns.map(([column]) => `${column} = ?`).join(', ')} where name = ?`,
        ...columns.map(([, value]) => value),
        service.name,
      )
      if (effect !== undefined) this.#database.note({ effect, name: service.name })
    })
  }

  remove(service: Pick<ServiceRow, 'name'>): void {
    this.#changing(() => {
      this.#database.run('delete from replica where service = ?', service.name)
      this.#database.run('delete from service where name = ?', service.name)
      this.#database.note({ effect: 'service-down', name: service.name })
    })
  }

  addReplica(service: ServiceRow): void {
    const replicaId = service.last_replica_id + 1
    this.#changing(() => {
      this.#database.run('update service set last_replica_id = ? where name = ?', replicaId, service.name)
      this.#database.run(
        "insert into replica values (?, ?, ?, ?, 'PROVISIONING', ?)",
        service.name,
        replicaId,
        service.version,
        service.task,
        now(),
      )
      this.#note('replica-created', { service: service.name, replica_id: replicaId })
    })
  }

  /** A new status, which is also a line of the ledger. */
  setStatus(replica: ReplicaRow, status: string): void {
    this.#changing(() => {
      this.#database.run(
        'update replica set status = ? where service = ? and replica_id = ?',
        status,
        replica.service,
        replica.replica_id,
      )
      this.#note(`replica-${status.toLowerCase()}`, replica)
    })
  }

  removeReplica(replica: ReplicaRow): void {
    this.#changing(() => {
      this.#database.run(
        'delete from replica where service = ? and replica_id = ?',
        replica.service,
        replica.replica_id,
      )
      this.#note('replica-down', replica)
    })
  }

  /** A process of a replica is about to be started. */
  noteProcess(replica: ReplicaRow): void {
    this.#note('replica-process', replica)
  }

  #note(effect: string, replica: Pick<ReplicaRow, 'service' | 'replica_id'>): void {
    this.#database.note({ effect, name: replica.service, jobId: replica.replica_id })
  }

  #changing(work: () => void): void {
    this.#all = undefined
    this.#replicas = undefined
    this.#database.together(work)
  }
}
