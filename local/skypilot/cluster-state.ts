import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { type Database, type Effect, now } from './database.ts'

const SCHEMA = `
  -- Clusters that are gone stay, for the cost report.
  create table if not exists cluster (
    hash text primary key,
    name text not null,
    status text not null,
    task text not null,
    yaml text not null,
    command text not null,
    user_hash text not null,
    user_name text not null,
    created_at real not null,
    launched_at real not null,
    status_updated_at real not null,
    ever_up integer not null default 0,
    autostop integer not null default -1,
    to_down integer not null default 0,
    -- An idle cluster is idle since then.
    idle_since real not null,
    init_reason text,
    last_event text,
    last_job_id integer not null default 0,
    -- What it is on its way to: 'stop' or 'down'.
    ending text,
    gone_at real
  ) strict;
  create unique index if not exists cluster_by_name on cluster (name) where gone_at is null;
  create table if not exists cluster_event (hash text not null, reason text not null, at real not null) strict;
  create index if not exists event_of_cluster on cluster_event (hash);
  create table if not exists cluster_usage (hash text not null, begin_at real not null, end_at real) strict;
  create index if not exists usage_of_cluster on cluster_usage (hash);
  create table if not exists cluster_job (
    hash text not null,
    job_id integer not null,
    name text not null,
    task text not null,
    status text not null,
    submitted_at real not null,
    start_at real,
    end_at real,
    exit_code integer,
    cancel_asked integer not null default 0,
    user_hash text not null,
    user_name text not null,
    primary key (hash, job_id)
  ) strict;
  create index if not exists live_cluster_job on cluster_job (hash) where end_at is null;
`

const ClusterRow = z.object({
  hash: z.string(),
  name: z.string(),
  /** INIT, UP, STOPPED or AUTOSTOPPING. */
  status: z.string(),
  task: z.string(),
  yaml: z.string(),
  command: z.string(),
  user_hash: z.string(),
  user_name: z.string(),
  created_at: z.number(),
  launched_at: z.number(),
  status_updated_at: z.number(),
  ever_up: z.int(),
  autostop: z.int(),
  to_down: z.int(),
  idle_since: z.number(),
  init_reason: z.string().nullable(),
  last_event: z.string().nullable(),
  last_job_id: z.int(),
  ending: z.enum(['stop', 'down']).nullable(),
  gone_at: z.number().nullable(),
})
/** A cluster of this machine. Times are seconds since the epoch. */
export type ClusterRow = z.infer<typeof ClusterRow>

const ClusterJobRow = z.object({
  hash: z.string(),
  job_id: z.int(),
  name: z.string(),
  task: z.string(),
  status: z.string(),
  submitted_at: z.number(),
  start_at: z.number().nullable(),
  end_at: z.number().nullable(),
  exit_code: z.int().nullable(),
  cancel_asked: z.int(),
  user_hash: z.string(),
  user_name: z.string(),
})
/** A job of a cluster. Its number counts from 1 in each life of a cluster. */
export type ClusterJobRow = z.infer<typeof ClusterJobRow>

const EventRow = z.object({ reason: z.string(), at: z.number() })
const UsageRow = z.object({ begin_at: z.number(), end_at: z.number().nullable() })

type Given<T, K extends keyof T> = Pick<T, K>

/** Clusters, their jobs, what happened to them and what they used. */
export class ClusterState {
  readonly #database: Database
  readonly #onChange: (listing: 'clusters' | 'clusterJobs') => void
  #live: ClusterRow[] | undefined
  #liveJobs: ClusterJobRow[] | undefined

  /** `onChange` is called before each change. */
  constructor(database: Database, onChange: (listing: 'clusters' | 'clusterJobs') => void) {
    this.#database = database
    this.#onChange = onChange
    database.define(SCHEMA)
  }

  /** Those that are there, newest first. */
  clusters(): readonly ClusterRow[] {
    this.#live ??= this.#database.rows(
      ClusterRow,
      'select * from cluster where gone_at is null order by created_at desc',
    )
    return this.#live
  }

  /** One that is there. */
  cluster(name: string): ClusterRow | undefined {
    return this.clusters().find((row) => row.name === name)
  }

  /** All that there ever were, newest first. */
  history(): ClusterRow[] {
    return this.#database.rows(ClusterRow, 'select * from cluster order by created_at desc')
  }

  addCluster(
    given: Given<ClusterRow, 'name' | 'task' | 'yaml' | 'command' | 'user_hash' | 'user_name'>,
    reason: string,
  ): ClusterRow {
    const hash = randomUUID()
    const at = now()
    this.#changing('clusters', () => {
      this.#database.run(
        `insert into cluster (hash, name, status, task, yaml, command, user_hash, user_name, created_at, launched_at,
           status_updated_at, idle_since, init_reason, last_event)
         values (?, ?, 'INIT', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        hash,
        given.name,
        given.task,
        given.yaml,
        given.command,
        given.user_hash,
        given.user_name,
        at,
        at,
        at,
        at,
        reason,
        reason,
      )
      this.#database.run('insert into cluster_event values (?, ?, ?)', hash, reason, at)
      this.#database.run('insert into cluster_usage values (?, ?, null)', hash, at)
      this.#database.note({ effect: 'cluster-created', name: given.name, cluster: given.name })
    })
    return this.#read(hash)
  }

  /** Changes a cluster; with a reason that is also an event of it, with an effect also a line of the ledger. */
  change(
    row: Given<ClusterRow, 'hash' | 'name'>,
    change: Partial<ClusterRow>,
    { reason, effect }: { reason?: string; effect?: string } = {},
  ): void {
    const at = now()
    const set: Partial<ClusterRow> = { ...change }
    if (change.status !== undefined) set.status_updated_at = at
    if (reason !== undefined) set.last_event = reason
    const columns = Object.entries(set)
    this.#changing('clusters', () => {
      this.#database.run(
        `update cluster set ${columns.map(([column]) => `${column} = ?`).join(', ')} where hash = ?`,
        ...columns.map(([, value]) => value),
        row.hash,
      )
      if (reason !== undefined)
        this.#database.run('insert into cluster_event values (?, ?, ?)', row.hash, reason, at)
      if (effect !== undefined)
        this.#database.note({ effect, name: row.name, cluster: row.name, detail: reason ?? null })
      if (change.status === 'STOPPED' || change.gone_at != null) this.#closeUsage(row.hash, at)
      if (change.gone_at != null) this.#database.run('delete from cluster_job where hash = ?', row.hash)
    })
  }

  /** Its machines are paid for again. */
  openUsage(row: Given<ClusterRow, 'hash'>): void {
    if (this.usage(row.hash).every(({ end_at: end }) => end !== null))
      this.#database.run('insert into cluster_usage values (?, ?, null)', row.hash, now())
  }

  usage(hash: string): Array<z.infer<typeof UsageRow>> {
    return this.#database.rows(
      UsageRow,
      'select begin_at, end_at from cluster_usage where hash = ? order by begin_at',
      hash,
    )
  }

  /** Oldest first. */
  events(hash: string): Array<z.infer<typeof EventRow>> {
    return this.#database.rows(
      EventRow,
      'select reason, at from cluster_event where hash = ? order by rowid',
      hash,
    )
  }

  /** Submits a job. It is durable when this returns. */
  addJob(
    row: Given<ClusterRow, 'hash' | 'name'>,
    given: Given<ClusterJobRow, 'name' | 'task' | 'user_hash' | 'user_name'>,
  ): number {
    return this.#changing('clusterJobs', () => {
      this.#database.run('update cluster set last_job_id = last_job_id + 1 where hash = ?', row.hash)
      const { last_job_id: jobId } = this.#read(row.hash)
      this.#database.run(
        `insert into cluster_job (hash, job_id, name, task, status, submitted_at, user_hash, user_name)
         values (?, ?, ?, ?, 'PENDING', ?, ?, ?)`,
        row.hash,
        jobId,
        given.name,
        given.task,
        now(),
        given.user_hash,
        given.user_name,
      )
      this.#database.note({ effect: 'cluster-job-submitted', name: given.name, jobId, cluster: row.name })
      return jobId
    })
  }

  /** Changes a job; a new status is also a line of the ledger. */
  changeJob(
    row: Given<ClusterRow, 'name'>,
    job: ClusterJobRow,
    change: Partial<ClusterJobRow>,
    ended?: string,
  ): void {
    const columns = Object.entries(change)
    this.#changing('clusterJobs', () => {
      this.#database.run(
        `update cluster_job set ${columns.map(([column]) => `${column} = ?`).join(', ')} where hash = ? and job_id = ?`,
        ...columns.map(([, value]) => value),
        job.hash,
        job.job_id,
      )
      if (change.end_at != null)
        this.#database.run('update cluster set idle_since = ? where hash = ?', now(), job.hash)
      const effect = (name: string, detail: string | null): Effect => ({
        effect: name,
        name: job.name,
        jobId: job.job_id,
        cluster: row.name,
        detail,
      })
      if (ended !== undefined) this.#database.note(effect('cluster-process-ended', ended))
      if (change.status !== undefined)
        this.#database.note(effect(`cluster-job-${change.status.toLowerCase()}`, null))
    })
  }

  /** A process of a job is about to be started. */
  noteProcess(row: Given<ClusterRow, 'name'>, job: ClusterJobRow, rank: number): void {
    this.#database.note({
      effect: 'cluster-process',
      name: job.name,
      jobId: job.job_id,
      cluster: row.name,
      detail: `node ${rank}`,
    })
  }

  job(hash: string, jobId: number): ClusterJobRow | undefined {
    return this.jobs(hash).find((job) => job.job_id === jobId)
  }

  /** Newest first. */
  jobs(hash: string): ClusterJobRow[] {
    return this.#database.rows(
      ClusterJobRow,
      'select * from cluster_job where hash = ? order by job_id desc',
      hash,
    )
  }

  /** Those of all clusters, newest first. */
  allJobs(): ClusterJobRow[] {
    return this.#database.rows(ClusterJobRow, 'select * from cluster_job order by submitted_at desc')
  }

  /** Those of all clusters that are not over, oldest first. */
  liveJobs(): readonly ClusterJobRow[] {
    this.#liveJobs ??= this.#database.rows(
      ClusterJobRow,
      'select * from cluster_job where end_at is null order by hash, job_id',
    )
    return this.#liveJobs
  }

  #read(hash: string): ClusterRow {
    const [row] = this.#database.rows(ClusterRow, 'select * from cluster where hash = ?', hash)
    if (!row) throw new Error(`there was never a cluster ${hash}`)
    return row
  }

  #closeUsage(hash: string, at: number): void {
    this.#database.run('update cluster_usage set end_at = ? where hash = ? and end_at is null', at, hash)
  }

  #changing<T>(listing: 'clusters' | 'clusterJobs', work: () => T): T {
    this.#onChange(listing)
    this.#live = undefined
    this.#liveJobs = undefined
    return this.#database.together(work)
  }
}
