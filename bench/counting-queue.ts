import type { CountedJob } from './counting-skypilot.ts'

interface Jobs {
  jobs: ReadonlyMap<number, CountedJob>
  byName: ReadonlyMap<string, CountedJob>
}

type Query = Record<string, unknown>

/** Whether somebody asks for all live jobs, and not for certain ones. */
export const isListing = (query: Query): boolean => query['job_ids'] == null && query['name_match'] == null

/** Answers `/jobs/queue/v2` as text, newest first, as the real server does. */
export function answerQueue(all: Jobs, query: Query): string {
  const matching = select(all, query).filter((job) => isWanted(job, query))
  const limit = typeof query['limit'] === 'number' ? query['limit'] : matching.length
  const from = (typeof query['page'] === 'number' ? query['page'] - 1 : 0) * limit
  const fields = Array.isArray(query['fields'])
    ? new Set<unknown>(['job_id', 'status', ...(query['fields'] as unknown[])])
    : null
  return JSON.stringify({
    jobs: matching
      .toReversed()
      .slice(from, from + limit)
      .map((job) => trimmed(job, fields)),
    total: matching.length,
    total_no_filter: all.jobs.size,
    status_counts: {},
  })
}

function select({ jobs, byName }: Jobs, { job_ids: ids, name_match: name }: Query): CountedJob[] {
  if (Array.isArray(ids)) return ids.flatMap((id) => jobs.get(Number(id)) ?? [])
  if (typeof name !== 'string') return [...jobs.values()]
  // A look for one name is the common case, and must not cost a walk over ten thousand.
  const exact = byName.get(name)
  return exact ? [exact] : /\.\d+\.\d+$/.test(name) ? [] : [...jobs.values()].filter(nameHolds(name))
}

const nameHolds =
  (part: string) =>
  (job: CountedJob): boolean =>
    job.job_name.includes(part)

function isWanted(job: CountedJob, { skip_finished: skip, statuses }: Query): boolean {
  if (skip === true && job.schedule_state === 'DONE') return false
  return !Array.isArray(statuses) || statuses.includes(job.status)
}

function trimmed(job: CountedJob, fields: ReadonlySet<unknown> | null): Record<string, unknown> {
  const row = { task_id: 0, details: null, failure_reason: null, ...job }
  if (fields === null) return row
  return Object.fromEntries(Object.entries(row).filter(([key]) => fields.has(key)))
}
