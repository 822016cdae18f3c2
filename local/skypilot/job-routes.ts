import type { Context, Hono } from 'hono'
import { stream } from 'hono/streaming'
import { z } from 'zod'
import { type Env, type Parts, readBody, type Sent, submit } from './exchange.ts'
import { tailJob } from './log-tail.ts'
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
})
const Events = z.object({ job_id: z.int(), limit: z.int().min(0).nullish() })
const Selection = z.object({
  job_ids: z.array(z.int()).nullish(),
  name: z.string().nullish(),
  all: z.boolean().nullish(),
  all_users: z.boolean().nullish(),
  pool: z.string().nullish(),
})
type Selection = z.infer<typeof Selection>
const Logs = z.object({
  job_id: z.int().nullish(),
  name: z.string().nullish(),
  follow: z.boolean().default(true),
  tail: z.int().min(0).nullish(),
  controller: z.boolean().default(false),
})
type Logs = z.infer<typeof Logs>

/** Managed jobs. */
export function jobRoutes(app: Hono<Env>, parts: Parts): void {
  const { state, jobs, faults } = parts
  app.post('/jobs/launch', async (c) => {
    const sent = await readBody(c, Launch)
    const { task, name } = sent.input
    return submit(c, parts, 'jobs.launch', sent, (say) => {
      const jobId = jobs.submit(parseTask(task, name), task, sent.raw.user)
      say(`Submitted managed job ${jobId}`)
      return { job_id: [jobId], handle: 'gAROLg==' }
    })
  })
  app.post('/jobs/queue/v2', async (c) => {
    const sent = await readBody(c, QueueBody)
    return submit(c, parts, 'jobs.queue_v2', sent, () => {
      const rows = faults.take(c.req.path, ['stale']) ? faults.staleJobs : state.jobs()
      return queueAnswer(rows, sent.input, sent.raw.user.id)
    })
  })
  app.post('/jobs/cancel', async (c) => {
    const sent = await readBody(c, Selection)
    return submit(c, parts, 'jobs.cancel', sent, (say) => cancelJobs(parts, sent, say))
  })
  app.post('/jobs/events', async (c) => {
    const sent = await readBody(c, Events)
    return submit(c, parts, 'jobs.events', sent, () =>
      state
        .events(sent.input.job_id, sent.input.limit ?? 10)
        .map(({ job_id: jobId, status, reason, at }) => ({
          spot_job_id: jobId,
          task_id: 0,
          new_status: status,
          code: null,
          reason,
          timestamp: new Date(at * 1_000).toISOString().replace('Z', ''),
        })),
    )
  })
  app.post('/jobs/logs', async (c) => streamLogs(c, parts, await readBody(c, Logs)))
}

/** The exit codes of a tail, as its request tells them. */
const TAIL_CODES: Readonly<Record<string, number>> = { SUCCEEDED: 0, CANCELLED: 103 }

function streamLogs(c: Context<Env>, parts: Parts, sent: Sent<Logs>): Response {
  const { state } = parts
  const { job_id: jobId, name, controller } = sent.input
  const job = jobId == null ? state.jobs().find((row) => name == null || row.name === name) : state.job(jobId)
  const told = Promise.withResolvers<number>()
  submit(c, parts, 'jobs.logs', sent, () => told.promise)
  c.header('Content-Type', 'text/plain; charset=utf-8')
  c.header('Cache-Control', 'no-cache, no-transform')
  c.header('X-Accel-Buffering', 'no')
  return stream(c, async (out) => {
    const gone = new AbortController()
    out.onAbort(() => gone.abort())
    const signal = AbortSignal.any([gone.signal, c.req.raw.signal, parts.closing])
    try {
      if (!job) await out.write(`Job ${jobId ?? name ?? ''} not found.\n`)
      else if (controller) await out.write(controllerLog(state, job))
      else {
        const tail = { follow: sent.input.follow, tail: sent.input.tail || null, signal }
        for await (const text of tailJob(state, parts.jobs, job, tail)) await out.write(text)
      }
    } finally {
      told.resolve(signal.aborted ? 101 : codeOf(job && state.job(job.job_id)))
    }
  })
}

function codeOf(job: JobRow | undefined): number {
  if (!job) return 102
  return job.end_at === null ? 101 : (TAIL_CODES[job.status] ?? 100)
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
