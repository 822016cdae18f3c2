import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { z } from 'zod'

const SCHEMA = `
  -- One server at a time: the lock ends with the process that holds it, however that ends.
  pragma locking_mode = exclusive;
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
  create index if not exists live_job on job (job_id) where schedule_state <> 'DONE';
  create table if not exists event (
    job_id integer not null, status text not null, reason text not null, at real not null
  ) strict;
  create index if not exists event_of_job on event (job_id);
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
  /** Asked for many times a second, and changed seldom. */
  #live: JobRow[] | undefined

  constructor(home: string) {
    mkdirSync(home, { recursive: true, mode: 0o700 })
    this.#db = new DatabaseSync(join(home, 'skypilot.db'), { timeout: 1_000 })
    try {
      this.#db.exec(SCHEMA)
    } catch (error) {
      this.#db.close()
      throw new Error(`cannot use ${home}: does another server run there?`, { cause: error })
    }
  }

  close(): void {
    this.#db.close()
  }

  /** Writes all of it or nothing. */
  #together<T>(work: () => T): T {
    this.#live = undefined
    this.#db.exec('begin immediate')
    try {
      const result = work()
      this.#db.exec('commit')
      return result
    } catch (error) {
      // A full disk may have ended the transaction already.
      if (this.#db.isTransaction) this.#db.exec('rollback')
      throw error
    }
  }

  /** Takes a job in, to wait for its turn. */
  addJob(given: Pick<JobRow, 'name' | 'task' | 'yaml' | 'user_hash' | 'user_name'>): number {
    return this.#together(() => {
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
      this.#run('insert into event values (?, ?, ?, ?)', jobId, 'PENDING', 'Job has been submitted', now())
      this.#note('submitted', jobId, given.name)
      return jobId
    })
  }

  /** Changes a job; a new status is also a line of its time line and of the ledger. */
  change(job: Pick<JobRow, 'job_id' | 'name'>, change: JobChange, reason: string): void {
    const columns = Object.entries(change).filter(([, value]) => value !== undefined)
    const sets = columns.map(([column]) => `${column} = ?`).join(', ')
    this.#together(() => {
      this.#run(`update job set ${sets} where job_id = ?`, ...columns.map(([, value]) => value), job.job_id)
      if (change.status === undefined) return
      this.#run('insert into event values (?, ?, ?, ?)', job.job_id, change.status, reason, now())
      this.#note(change.status.toLowerCase(), job.job_id, job.name, reason)
    })
  }

  /** One more line of the ledger. */
  note(effect: string, job: Pick<JobRow, 'job_id' | 'name'>, detail: string): void {
    this.#together(() => this.#note(effect, job.job_id, job.name, detail))
  }

  job(jobId: number): JobRow | undefined {
    return this.#rows(JobRow, 'select * from job where job_id = ?', jobId)[0]
  }

  /** Newest first. */
  jobs(): JobRow[] {
    return this.#rows(JobRow, 'select * from job order by job_id desc')
  }

  /** Jobs that are not over, oldest first: the order of the queue. */
  live(): readonly JobRow[] {
    this.#live ??= this.#rows(JobRow, "select * from job where schedule_state <> 'DONE' order by job_id")
    return this.#live
  }

  events(jobId: number, limit: number): Array<z.infer<typeof EventRow>> {
    return this.#rows(
      EventRow,
      'select * from event where job_id = ? order by rowid desc limit ?',
      jobId,
      limit,
    )
  }

  ledger(): Array<z.infer<typeof LedgerRow>> {
    return this.#rows(LedgerRow, 'select * from ledger order by seq')
  }

  #note(effect: string, jobId: number, name: string, detail: string | null = null): void {
    this.#run(
      'insert into ledger (at, effect, job_id, name, detail) values (?, ?, ?, ?, ?)',
      now(),
      effect,
      jobId,
      name,
      detail,
    )
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
