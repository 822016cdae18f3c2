import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { type Context, Hono } from 'hono'
import { stream } from 'hono/streaming'
import { z } from 'zod'
import { Fault, type Faults, misbehave } from './faults.ts'
import type { Jobs } from './jobs.ts'
import { tailJob } from './log-tail.ts'
import { QueueBody, queueAnswer } from './queue.ts'
import { RequestFailure, type RequestRecord, type RequestTable } from './requests.ts'
import type { JobRow, State } from './state.ts'
import { parseTask } from './task.ts'

export interface Parts {
  state: State
  jobs: Jobs
  requests: RequestTable
  faults: Faults
}

type Env = { Bindings: { incoming: IncomingMessage }; Variables: { requestId: string } }

const VERSION = { api: '62', sky: '0.14.1', clientMin: 24 }
const OWN_USER = { id: '10ca1de5', name: 'local' }

/** Cluster calls find no cluster here, so they end as on a real server that has none. */
const NO_CLUSTER = ['queue', 'job_status', 'cancel', 'stop', 'down', 'start', 'autostop'] as const

/** SkyPilot's HTTP protocol (0.14.1, API version 62), as far as SkyDeck and its users need it on one machine. */
export function createRoutes(parts: Parts): Hono<Env> {
  const app = new Hono<Env>()
  app.use(negotiate)
  app.use(misbehave(parts.faults))
  healthRoute(app)
  requestRoutes(app, parts)
  jobRoutes(app, parts)
  clusterRoutes(app, parts)
  testRoutes(app, parts)
  app.notFound((c) => c.json({ detail: 'Not Found' }, 404))
  app.onError((error, c) =>
    error instanceof Invalid
      ? c.json({ detail: error.detail }, 422)
      : c.text(`Traceback (most recent call last):\n${error.name}: ${error.message}\n`, 500),
  )
  return app
}

const negotiate = async (c: Context<Env>, next: () => Promise<void>): Promise<Response | void> => {
  const api = c.req.header('x-skypilot-api-version')
  const sky = c.req.header('x-skypilot-version')
  c.set('requestId', randomUUID())
  if (api !== undefined && sky !== undefined) {
    c.header('X-SkyPilot-API-Version', VERSION.api)
    c.header('X-SkyPilot-Version', VERSION.sky)
    if (!/^\d+$/.test(api)) return c.text(`ValueError: invalid literal for int(): '${api}'`, 500)
    if (Number(api) < VERSION.clientMin) {
      c.header('X-Skypilot-Request-ID', c.get('requestId'))
      const message = `Your SkyPilot client version is too old: ${sky}. The server is running on ${VERSION.sky}.`
      return c.json({ error: 'version_mismatch', message }, 400)
    }
  }
  await next()
  c.header('X-Skypilot-Request-ID', c.get('requestId'))
}

/** A body that does not fit, in the words of the real server's framework. */
class Invalid extends Error {
  readonly detail: unknown

  constructor(detail: unknown) {
    super('invalid body')
    this.detail = detail
  }
}

const EnvVars = z.object({ SKYPILOT_USER_ID: z.string(), SKYPILOT_USER: z.string() })
const Body = z.looseObject({ env_vars: z.record(z.string(), z.string()).nullish() })

async function readBody<T>(c: Context<Env>, schema: z.ZodType<T>): Promise<{ input: T; raw: Raw }> {
  const value: unknown = await c.req.json().catch(() => undefined)
  const parsed = Body.safeParse(value)
  if (!parsed.success)
    throw new Invalid([{ type: 'json_invalid', loc: ['body'], msg: 'JSON decode error', input: {} }])
  const { env_vars: env } = parsed.data
  if (env && !EnvVars.safeParse(env).success) throw new Error("KeyError: 'SKYPILOT_USER_ID'")
  const input = schema.safeParse(parsed.data)
  if (!input.success)
    throw new Invalid(
      input.error.issues.map(({ path, message, input: given }) => ({
        type: given === undefined ? 'missing' : 'value_error',
        loc: ['body', ...path],
        msg: given === undefined ? 'Field required' : message,
        input: parsed.data,
      })),
    )
  const user = env ? { id: env['SKYPILOT_USER_ID'] ?? '', name: env['SKYPILOT_USER'] ?? '' } : OWN_USER
  return { input: input.data, raw: { body: parsed.data, user } }
}

interface Raw {
  body: Record<string, unknown>
  user: { id: string; name: string }
}

/** Queues work as the real server does: an empty answer now, the result by the request's id. */
function submit(
  c: Context<Env>,
  { requests, faults }: Parts,
  name: string,
  raw: Raw,
  work: (say: (line: string) => void) => unknown,
): Response {
  const id = requests.submit({
    name: `sky.${name}`,
    ...raw,
    clusterName: name.startsWith('jobs.') ? 'sky-jobs-controller-10ca1de5' : null,
    holdMs: faults.take(c.req.path, ['hold'])?.delayMs ?? 0,
    work,
  })
  c.set('requestId', id)
  return c.json(null)
}

function healthRoute(app: Hono<Env>): void {
  app.get('/api/health', (c) =>
    c.json({
      status: 'healthy',
      api_version: VERSION.api,
      version: VERSION.sky,
      version_on_disk: VERSION.sky,
      commit: 'local',
      basic_auth_enabled: false,
      user: null,
      service_account_token_enabled: false,
      ingress_basic_auth_enabled: false,
      latest_version: null,
      external_proxy_auth_enabled: false,
      telemetry_enabled: false,
      restrict_config_to_admins: true,
    }),
  )
}

function requestRoutes(app: Hono<Env>, { requests }: Parts): void {
  app.get('/api/get', async (c) => {
    const asked = c.req.query('request_id') ?? ''
    const [record, another] = requests.find(asked)
    if (!record) return c.json({ detail: `Request '${asked}' not found` }, 404)
    if (another) return c.json({ detail: `Request '${asked}' is the beginning of several` }, 400)
    await requests.ended(record.request_id, c.req.raw.signal)
    const payload = { ...record, entrypoint: '', request_body: '' }
    return record.status === 'FAILED' ? c.json({ detail: payload }, 500) : c.json(payload)
  })
  app.get('/api/status', (c) => {
    const query = new URL(c.req.url).searchParams
    const ids = query.getAll('request_ids')
    const cluster = query.get('cluster_name')
    const isAll = query.get('all_status')?.toLowerCase() === 'true'
    const found =
      ids.length > 0
        ? ids.flatMap((id) => requests.find(id))
        : requests
            .list()
            .filter(({ status }) => isAll || status === 'PENDING' || status === 'RUNNING')
            .filter(({ cluster_name: name }) => cluster === null || name === cluster)
    const limit = Number(query.get('limit') ?? found.length)
    return c.json(found.slice(0, limit).map((record) => onlyFields(record, query.getAll('fields'))))
  })
  app.get('/api/stream', async (c) => {
    const [record] = requests.find(c.req.query('request_id') ?? '')
    if (!record) return c.json({ detail: `Request '${c.req.query('request_id')}' not found` }, 404)
    if (c.req.query('follow') !== 'false') await requests.ended(record.request_id, c.req.raw.signal)
    c.header('X-SkyPilot-Stream-Request-ID', record.request_id)
    return c.text(
      requests
        .logOf(record.request_id)
        .map((line) => `${line}\n`)
        .join(''),
    )
  })
  app.post('/api/cancel', async (c) => {
    const { input, raw } = await readBody(c, z.object({ request_ids: z.array(z.string()).nullish() }))
    const ids = (input.request_ids ?? requests.list().map(({ request_id: id }) => id)).flatMap((id) =>
      requests.find(id).map(({ request_id: whole }) => whole),
    )
    const cancelled = requests.cancel(ids)
    const id = requests.submit({
      name: 'sky.api_cancel',
      ...raw,
      clusterName: null,
      holdMs: 0,
      work: () => cancelled,
    })
    c.set('requestId', id)
    return c.json(null)
  })
}

/** Columns that were not asked for come back as defaults, which is why `status` must always be asked for. */
function onlyFields(record: RequestRecord, fields: readonly string[]): RequestRecord {
  if (fields.length === 0) return record
  const blank: RequestRecord = {
    ...record,
    name: '',
    entrypoint: '',
    request_body: 'null',
    status: 'PENDING',
    created_at: 0,
    user_id: '',
    return_value: 'null',
    error: 'null',
    pid: null,
    user_name: null,
    cluster_name: null,
    finished_at: null,
  }
  const asked = Object.entries(record).filter(([key]) => fields.includes(key))
  return { ...blank, ...Object.fromEntries(asked) }
}

const Selection = z.object({
  job_ids: z.array(z.int()).nullish(),
  name: z.string().nullish(),
  all: z.boolean().nullish(),
  all_users: z.boolean().nullish(),
  pool: z.string().nullish(),
})

function jobRoutes(app: Hono<Env>, parts: Parts): void {
  const { state, jobs, faults } = parts
  let frozen: JobRow[] | undefined

  app.post('/jobs/launch', async (c) => {
    const { input, raw } = await readBody(c, z.object({ task: z.string(), name: z.string().nullish() }))
    return submit(c, parts, 'jobs.launch', raw, (say) => {
      const jobId = jobs.submit(parseTask(input.task, input.name ?? null), input.task, raw.user)
      say(`Submitted managed job ${jobId}`)
      return { job_id: [jobId], handle: 'gAROLg==' }
    })
  })
  app.post('/jobs/queue/v2', async (c) => {
    const { input, raw } = await readBody(c, QueueBody)
    return submit(c, parts, 'jobs.queue_v2', raw, () => {
      const isStale = faults.take(c.req.path, ['stale']) !== undefined
      frozen = isStale ? (frozen ?? state.jobs()) : undefined
      return queueAnswer(frozen ?? state.jobs(), input, raw.user.id)
    })
  })
  app.post('/jobs/cancel', async (c) => {
    const { input, raw } = await readBody(c, Selection)
    return submit(c, parts, 'jobs.cancel', raw, (say) => cancelJobs(parts, input, raw.user.id, say))
  })
  app.post('/jobs/events', async (c) => {
    const { input, raw } = await readBody(c, z.object({ job_id: z.int(), limit: z.int().default(10) }))
    return submit(c, parts, 'jobs.events', raw, () =>
      state.events(input.job_id, input.limit).map(({ job_id: jobId, status, reason, at }) => ({
        spot_job_id: jobId,
        task_id: 0,
        new_status: status,
        code: null,
        reason,
        timestamp: new Date(at * 1_000).toISOString().replace('Z', ''),
      })),
    )
  })
  logRoute(app, parts)
}

function logRoute(app: Hono<Env>, parts: Parts): void {
  const { state, jobs } = parts
  const LogBody = z.object({
    job_id: z.int().nullish(),
    name: z.string().nullish(),
    follow: z.boolean().default(true),
    tail: z.int().nullish(),
    controller: z.boolean().default(false),
  })
  app.post('/jobs/logs', async (c) => {
    const { input, raw } = await readBody(c, LogBody)
    const job =
      input.job_id == null
        ? state.jobs().find(({ name }) => input.name == null || name === input.name)
        : state.job(input.job_id)
    submit(c, parts, 'jobs.logs', raw, () => (job ? 0 : 102))
    c.header('Content-Type', 'text/plain; charset=utf-8')
    c.header('X-Accel-Buffering', 'no')
    return stream(c, async (out) => {
      if (!job) return
      if (input.controller) return void (await out.write(controllerLog(state, job.job_id)))
      const gone = new AbortController()
      out.onAbort(() => gone.abort())
      const tail = { follow: input.follow, tail: input.tail || null, signal: gone.signal }
      for await (const line of tailJob(state, jobs, job.job_id, tail)) await out.write(line)
    })
  })
}

const controllerLog = (state: State, jobId: number): string =>
  state
    .events(jobId, 1_000)
    .toReversed()
    .map(({ status, reason, at }) => `${new Date(at * 1_000).toISOString()} ${status}: ${reason}\n`)
    .join('')

/** Always succeeds, like the real one: what came of it is only said in the request's log. */
function cancelJobs(
  { state, jobs }: Parts,
  selection: z.infer<typeof Selection>,
  userId: string,
  say: (line: string) => void,
): null {
  const { job_ids: ids, name, all, all_users: allUsers, pool } = selection
  const chosen = [ids?.length ? ids : null, name, all, allUsers, pool].filter(Boolean)
  if (chosen.length !== 1)
    throw new RequestFailure(
      'ValueError',
      'Exactly one of job_ids, name, pool, all or all_users must be specified.',
    )
  const live = state.live().filter((job) => job.end_at === null)
  const wanted = live.filter((job) => {
    if (ids?.length) return ids.includes(job.job_id)
    if (name) return job.name === name
    return Boolean(allUsers) || (Boolean(all) && job.user_hash === userId)
  })
  if (name && wanted.length > 1) {
    say(`Multiple running jobs found with name '${name}'.`)
    return null
  }
  for (const id of ids ?? [])
    if (!wanted.some((job) => job.job_id === id)) say(`Job ${id} not found or finished. Skipped.`)
  const asked = wanted.filter((job) => jobs.cancel(job)).map((job) => job.job_id)
  if (asked.length > 0) say(`Jobs with IDs ${asked.join(', ')} are scheduled to be cancelled.`)
  return null
}

function clusterRoutes(app: Hono<Env>, parts: Parts): void {
  app.post('/status', async (c) => {
    const { raw } = await readBody(c, z.object({}))
    return submit(c, parts, 'status', raw, () => [])
  })
  for (const name of NO_CLUSTER)
    app.post(`/${name}`, async (c) => {
      const { input, raw } = await readBody(c, z.object({ cluster_name: z.string() }))
      return submit(c, parts, name, raw, () => {
        throw new RequestFailure('ClusterDoesNotExist', `Cluster '${input.cluster_name}' does not exist.`)
      })
    })
}

/** For tests: what the server shall do wrong, and what really happened. */
function testRoutes(app: Hono<Env>, { faults, state }: Parts): void {
  app.get('/local/faults', (c) => c.json(faults.list()))
  app.post('/local/faults', async (c) => {
    const given = z.array(Fault).safeParse(await c.req.json().catch(() => undefined))
    if (!given.success) throw new Invalid(z.treeifyError(given.error))
    faults.set(given.data)
    return c.json(faults.list())
  })
  app.delete('/local/faults', (c) => {
    faults.set([])
    return c.json([])
  })
  app.get('/local/ledger', (c) => c.json(state.ledger()))
}
