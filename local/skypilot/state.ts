import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { z } from 'zod'

const SCHEMA = `
  pragma journal_mode = wal;
  pragma synchronous = full;
  create table if not exists job (
    job_id integer primary key autoincrement,
    name text not null,
    task text not null,
    yaml text not null,
    status text not null,
    schedule_state text not null,
    submitted_at real not null,
    start_at real,
    end_at real,
    failure_reason text,
    details text,
    cancel_asked integer not null default 0,
    user_hash text not null,
    user_name text not null
  ) strict;
  create table if not exists event (
    job_id integer not null, status text not null, reason text not null, at real not null
  ) strict;
  -- What really happened, in order: the ground truth that tests compare with.
  create table if not exists ledger (
    seq integer primary key autoincrement, at real not null, effect text not null, job_id integer, name text, detail text
  ) strict;
`

const JobRow = z.object({
  job_id: z.int(),
  name: z.string(),
  task: z.string(),
  yaml: z.string(),
  status: z.string(),
  schedule_state: z.string(),
  submitted_at: z.number(),
  start_at: z.number().nullable(),
  end_at: z.number().nullable(),
  failure_reason: z.string().nullable(),
  details: z.string().nullable(),
  cancel_asked: z.int(),
  user_hash: z.string(),
  user_name: z.string(),
})
/** A managed job. Times are seconds since the epoch, as in SkyPilot. */
export type JobRow = z.infer<typeof JobRow>

const EventRow = z.object({ job_id: z.int(), status: z.string(), reason: z.string(), at: z.number() })
const LedgerRow = z.object({
  seq: z.int(),
  at: z.number(),
  effect: z.string(),
  job_id: z.int().nullable(),
  name: z.string().nullable(),
  detail: z.string().nullable(),
})

type JobChange = Partial<
  Pick<
    JobRow,
    'status' | 'schedule_state' | 'start_at' | 'end_at' | 'failure_reason' | 'details' | 'cancel_asked'
  >
>

const now = (): number => Date.now() / 1_000

/** The durable part of the server: jobs, their time lines, and the ledger of effects. One process writes it. */
export class State {
  readonly #db: DatabaseSync

  constructor(home: string) {
    mkdirSync(home, { recursive: true, mode: 0o700 })
    this.#db = new DatabaseSync(join(home, 'skypilot.db'))
    this.#db.exec(SCHEMA)
  }

  close(): void {
    this.#db.close()
  }

  addJob(given: Pick<JobRow, 'name' | 'task' | 'yaml' | 'user_hash' | 'user_name'>): number {
    const { lastInsertRowid } = this.#run(
      `insert into job (name, task, yaml, status, schedule_state, submitted_at, user_hash, user_name)
       values (?, ?, ?, 'PENDING', 'WAITING', ?, ?, ?)`,
      given.name,
      given.task,
      given.yaml,
      now(),
      given.user_hash,
      given.user_name,
    )
    const jobId = Number(lastInsertRowid)
    this.note('submitted', jobId, given.name)
    return jobId
  }

  /** Changes a job; a new status is also a line of its time line and of the ledger. */
  change(jobId: number, change: JobChange, reason: string): void {
    const columns = Object.entries(change).filter(([, value]) => value !== undefined)
    const sets = columns.map(([column]) => `${column} = ?`).join(', ')
    this.#run(`update job set ${sets} where job_id = ?`, ...columns.map(([, value]) => value), jobId)
    if (change.status === undefined) return
    this.#run('insert into event values (?, ?, ?, ?)', jobId, change.status, reason, now())
    this.note(change.status.toLowerCase(), jobId, this.job(jobId)?.name ?? null, reason)
  }

  job(jobId: number): JobRow | undefined {
    return this.#rows(JobRow, 'select * from job where job_id = ?', jobId)[0]
  }

  /** Newest first. */
  jobs(): JobRow[] {
    return this.#rows(JobRow, 'select * from job order by job_id desc')
  }

  /** Jobs that are not over, oldest first: the order of the queue. */
  live(): JobRow[] {
    return this.#rows(JobRow, "select * from job where schedule_state <> 'DONE' order by job_id")
  }

  events(jobId: number, limit: number): Array<z.infer<typeof EventRow>> {
    return this.#rows(
      EventRow,
      'select * from event where job_id = ? order by rowid desc limit ?',
      jobId,
      limit,
    )
  }

  note(effect: string, jobId: number | null, name: string | null, detail: string | null = null): void {
    this.#run(
      'insert into ledger (at, effect, job_id, name, detail) values (?, ?, ?, ?, ?)',
      now(),
      effect,
      jobId,
      name,
      detail,
    )
  }

  ledger(): Array<z.infer<typeof LedgerRow>> {
    return this.#rows(LedgerRow, 'select * from ledger order by seq')
  }

  #run(sql: string, ...values: SQLInputValue[]) {
    return this.#db.prepare(sql).run(...values)
  }

  #rows<T>(schema: z.ZodType<T>, sql: string, ...values: SQLInputValue[]): T[] {
    return this.#db
      .prepare(sql)
      .all(...values)
      .map((row) => schema.parse(row))
  }
}
