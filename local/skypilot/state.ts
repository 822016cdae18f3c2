import { z } from 'zod'
import { type Database, now } from './database.ts'

const SCHEMA = `
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
`

/** Came later than the table. */
const LATER_COLUMNS = [
  ['recovery_count', 'integer not null default 0'],
  ['restart_count', 'integer not null default 0'],
  ['last_recovered_at', 'real'],
  ['preempt_asked', 'integer not null default 0'],
] as const

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
  /** How often it was begun again: each time in a new folder. */
  recovery_count: z.int(),
  /** How many of these were for errors of its own. */
  restart_count: z.int(),
  last_recovered_at: z.number().nullable(),
  preempt_asked: z.int(),
})
/** A managed job. Times are seconds since the epoch, as in SkyPilot. */
export type JobRow = z.infer<typeof JobRow>

const EventRow = z.object({ job_id: z.int(), status: z.string(), reason: z.string(), at: z.number() })

type JobChange = Partial<
  Omit<JobRow, 'job_id' | 'name' | 'task' | 'yaml' | 'submitted_at' | 'user_hash' | 'user_name'>
>

/** One more line of the ledger, written together with a change. */
export interface Also {
  effect: string
  detail: string
}

/** Managed jobs and their time lines. */
export class State {
  readonly #database: Database
  readonly #onChange: () => void
  /** Asked for many times a second, and changed seldom. */
  #live: JobRow[] | undefined

  /** `onChange` is called before each change. */
  constructor(database: Database, onChange: () => void) {
    this.#database = database
    this.#onChange = onChange
    database.define(SCHEMA)
    for (const [column, type] of LATER_COLUMNS) database.addColumn('job', column, type)
  }

  /** Takes a job in, to wait for its turn. */
  addJob(given: Pick<JobRow, 'name' | 'task' | 'yaml' | 'user_hash' | 'user_name'>): number {
    return this.#together(() => {
      const { lastInsertRowid } = this.#database.run(
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
      this.#addEvent(jobId, 'PENDING', 'Job submitted to queue')
      this.#database.note({ effect: 'submitted', name: given.name, jobId })
      return jobId
    })
  }

  /** Changes a job; a new status is also a line of its time line and of the ledger. */
  change(job: Pick<JobRow, 'job_id' | 'name'>, change: JobChange, reason: string, also?: Also): void {
    const columns = Object.entries(change).filter(([, value]) => value !== undefined)
    const sets = columns.map(([column]) => `${column} = ?`).join(', ')
    this.#together(() => {
      if (also) this.note(also.effect, job, also.detail)
      this.#database.run(
        `update job set ${sets} where job_id = ?`,
        ...columns.map(([, value]) => value),
        job.job_id,
      )
      if (change.status === undefined) return
      this.#addEvent(job.job_id, change.status, reason)
      this.note(change.status.toLowerCase(), job, reason)
    })
  }

  /** One more line of the ledger. */
  note(effect: string, job: Pick<JobRow, 'job_id' | 'name'>, detail: string): void {
    this.#database.note({ effect, name: job.name, jobId: job.job_id, detail })
  }

  job(jobId: number): JobRow | undefined {
    return this.#database.rows(JobRow, 'select * from job where job_id = ?', jobId)[0]
  }

  /** Newest first. */
  jobs(): JobRow[] {
    return this.#database.rows(JobRow, 'select * from job order by job_id desc')
  }

  /** Jobs that are not done, oldest first: the order of the queue. */
  live(): readonly JobRow[] {
    this.#live ??= this.#database.rows(
      JobRow,
      "select * from job where schedule_state <> 'DONE' order by job_id",
    )
    return this.#live
  }

  /** Newest first. */
  events(jobId: number, limit: number): Array<z.infer<typeof EventRow>> {
    return this.#database.rows(
      EventRow,
      'select * from event where job_id = ? order by rowid desc limit ?',
      jobId,
      limit,
    )
  }

  #addEvent(jobId: number, status: string, reason: string): void {
    this.#database.run('insert into event values (?, ?, ?, ?)', jobId, status, reason, now())
  }

  #together<T>(work: () => T): T {
    this.#onChange()
    this.#live = undefined
    return this.#database.together(work)
  }
}
