import { setTimeout as sleep } from 'node:timers/promises'
import type { Context, Hono } from 'hono'
import { z } from 'zod'
import { keepLogs } from './cluster-job-routes.ts'
import { type Env, type Parts, readBody, type Sent, submit } from './exchange.ts'
import { taskOf } from './jobs.ts'
import { streamLog, TAIL_CODES } from './log-routes.ts'
import type { Tailed } from './log-tail.ts'
import { PICKLED_NONE } from './pickle.ts'
import { QueueBody, queueAnswer } from './queue.ts'
import { RequestFailure } from './requests.ts'
import type { JobRow, State } from './state.ts'
import { parseTask } from './task.ts'

const Launch = z.object({
  task: z.string(),
  name: z
    .string()
    .nullish()
    .transform((name) => name ?? null),
  file_mounts_blob_id: z
    .string()
    .nullish()
    .transform((id) => id ?? null),
})
const Events = z.object({
  job_id: z.int() /** Null for all. */,
  limit: z.int().min(0).nullable().default(10),
})
const Selection = z.object({
  job_ids: z.array(z.int()).nullish(),
  name: z.string().nullish(),
  all: z.boolean().nullish(),
  all_users: z.boolean().nullish(),
  pool: z.string().nullish(),
})
type Selection = z.infer<typeof Selection>
const Chosen = z.object({ job_id: z.int().nullish(), name: z.string().nullish() })
const Logs = Chosen.extend({
  follow: z.boolean().default(true),
  tail: z.int().min(0).nullish(),
  controller: z.boolean().default(false),
})
type Logs = z.infer<typeof Logs>

/** Managed jobs. */
export function jobRoutes(app: Hono<Env>, parts: Parts): void {
  const { state, jobs, listings } = parts
  app.post('/jobs/launch', async (c) => {
    const sent = await readBody(c, Launch)
    const { task, name } = sent.input
    return submit(c, parts, 'jobs.launch', sent, ({ say }) => {
      const jobId = jobs.submit(parseTask(task, name, sent.input.file_mounts_blob_id), task, sent.raw.user)
      say(`Submitted managed job ${jobId}`)
      return { job_id: [jobId], handle: PICKLED_NONE }
    })
  })
  app.post('/jobs/queue/v2', async (c) => {
    const sent = await readBody(c, QueueBody)
    return submit(c, parts, 'jobs.queue_v2', sent, () => {
      const userId = sent.raw.user.id
      return queueAnswer(listings.jobs.rows(c.req.path, userId), sent.input, userId)
    })
  })
  app.post('/jobs/cancel', async (c) => {
    const sent = await readBody(c, Selection)
    return submit(c, parts, 'jobs.cancel', sent, ({ say }) => cancelJobs(parts, sent, say))
  })
  app.post('/jobs/events', async (c) => {
    const sent = await readBody(c, Events)
    return submit(c, parts, 'jobs.events', sent, () =>
      state
        .events(sent.input.job_id, sent.input.limit ?? Number.MAX_SAFE_INTEGER)
        .map(({ job_id: jobId, status, reason, at }) => ({
          spot_job_id: jobId,
          task_id: 0,
          new_status: status,
          code: /exit code (\d+)/.exec(reason)?.[1] ?? null,
          reason,
          timestamp: new Date(at * 1_000).toISOString().replace('Z', ''),
        })),
    )
  })
  app.post('/jobs/download_logs', async (c) => {
    const sent = await readBody(c, Chosen)
    return submit(c, parts, 'jobs.download_logs', sent, () => {
      const job = chosenJob(parts, sent.input)
      if (!job) return {}
      const folder = keepLogs(parts, sent.raw.user.id, `managed_jobs/${job.job_id}-${job.name}`, (rank) =>
        jobs.folder(job, rank),
      )
      return { [String(job.job_id)]: folder }
    })
  })
  app.post('/jobs/wait', async (c) => {
    const sent = await readBody(c, Chosen.extend({ timeout: z.int().min(0).nullish() }))
    return submit(c, parts, { name: 'jobs.wait', schedule: 'long' }, sent, ({ signal }) =>
      waitForEnd(parts, sent.input, signal),
    )
  })
  app.post('/jobs/logs', async (c) => streamLogs(c, parts, await readBody(c, Logs)))
}

const WAIT_POLL_MS = 100

async function waitForEnd(
  parts: Parts,
  asked: z.infer<typeof Chosen> & { timeout?: number | null | undefined },
  signal: AbortSignal,
): Promise<number> {
  const untilMs = performance.now() + (asked.timeout ?? Number.POSITIVE_INFINITY) * 1_000
  for (;;) {
    const job = chosenJob(parts, asked)
    if (job?.end_at !== null || performance.now() >= untilMs) return codeOf(job)
    await sleep(WAIT_POLL_MS, undefined, { signal })
  }
}

/** By its number, or the newest of a name, or the newest of all. */
function chosenJob({ state }: Parts, { job_id: jobId, name }: z.infer<typeof Chosen>): JobRow | undefined {
  return jobId == null ? state.jobs().find((row) => name == null || row.name === name) : state.job(jobId)
}

function streamLogs(c: Context<Env>, parts: Parts, sent: Sent<Logs>): Response {
  const { state } = parts
  const { job_id: jobId, name, controller, follow, tail } = sent.input
  const job = chosenJob(parts, { job_id: jobId, name })
  const words = job
    ? controller
      ? controllerLog(state, job)
      : undefined
    : `Job ${jobId ?? name ?? ''} not found.\n`
  return streamLog(c, parts, 'jobs.logs', sent, {
    job: job && tailedJob(parts, job),
    follow,
    tail: tail || null,
    code: () => codeOf(job && state.job(job.job_id)),
    ...(words === undefined ? {} : { words }),
  })
}

function codeOf(job: JobRow | undefined): number {
  if (!job) return TAIL_CODES.notFound
  if (job.end_at === null) return TAIL_CODES.unfinished
  if (job.status === 'SUCCEEDED') return TAIL_CODES.succeeded
  return job.status === 'CANCELLED' ? TAIL_CODES.cancelled : TAIL_CODES.failed
}

function tailedJob({ state, jobs }: Parts, { job_id: jobId, name, task }: JobRow): Tailed {
  const now = () => state.job(jobId)
  return {
    name,
    numNodes: taskOf({ task }).numNodes,
    folder: (rank) => jobs.folder({ job_id: jobId, recovery_count: now()?.recovery_count ?? 0 }, rank),
    isWaiting: () => now()?.status === 'PENDING',
    isOver: () => now()?.end_at !== null,
    neverBegan: () => {
      const job = now()
      return (
        `Job ${jobId} is already in terminal state ${job?.status}. For more details, run: sky jobs logs --controller ${jobId}\n` +
        (job?.failure_reason == null ? '' : `Failure reason: ${job.failure_reason}\n`)
      )
    },
    lastWords: () => {
      const job = now()
      const code = /exit code (\d+)/.exec(job?.failure_reason ?? '')?.[1]
      const error =
        job?.status === 'FAILED_SETUP'
          ? `ERROR: Job ${jobId}'s setup failed.\n`
          : code === undefined
            ? ''
            : `ERROR: Job ${jobId} failed with return code list: [${code}]\n`
      return `${error}✓ Job finished (status: ${job?.status}).\n`
    },
  }
}

const controllerLog = (state: State, job: JobRow): string =>
  `Starting job loop for ${job.job_id}\n` +
  state
    .events(job.job_id, 1_000)
    .toReversed()
    .map(({ status, reason, at }) => `${new Date(at * 1_000).toISOString()} ${status}: ${reason}\n`)
    .join('')

/** Always succeeds, like the real one: what came of it is only said in the request's log. */
function cancelJobs(
  { state, jobs }: Parts,
  { input, raw }: Sent<Selection>,
  say: (line: string) => void,
): null {
  refuseAmbiguous(input)
  const wanted = state.live().filter((job) => job.end_at === null && isWanted(job, input, raw.user.id))
  if (input.name && wanted.length > 1) {
    say(`Multiple running jobs found with name '${input.name}'.`)
    return null
  }
  for (const id of input.job_ids ?? []) {
    if (wanted.some((job) => job.job_id === id)) continue
    const job = state.job(id)
    say(
      job
        ? `Job ${id} is already in terminal state ${job.status}. Skipped.`
        : `Job ${id} not found. Skipped.`,
    )
  }
  const why = `Cancellation requested by user ${raw.user.name}`
  const asked = wanted.filter((job) => jobs.cancel(job, why)).map((job) => job.job_id)
  if (asked.length > 0)
    say(
      `Job${asked.length > 1 ? 's' : ''} with ID${asked.length > 1 ? 's' : ''} ${asked.join(', ')} ` +
        `${asked.length > 1 ? 'are' : 'is'} scheduled to be cancelled.`,
    )
  return null
}

function refuseAmbiguous({ job_ids: ids, name, all, all_users: allUsers, pool }: Selection): void {
  const chosen = [ids?.length, name, all, allUsers, pool].filter(Boolean)
  if (chosen.length !== 1)
    throw new RequestFailure(
      'ValueError',
      'Exactly one of job_ids, name, pool, all, or all_users must be specified.',
    )
}

function isWanted(job: JobRow, selection: Selection, userId: string): boolean {
  const { job_ids: ids, name, all, all_users: allUsers } = selection
  if (ids?.length) return ids.includes(job.job_id)
  if (name) return job.name === name
  return allUsers === true || (all === true && job.user_hash === userId)
}
