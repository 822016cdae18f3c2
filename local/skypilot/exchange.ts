import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Context, MiddlewareHandler } from 'hono'
import { z } from 'zod'
import type { ClusterJobs } from './cluster-jobs.ts'
import type { ClusterJobRow, ClusterRow, ClusterState } from './cluster-state.ts'
import type { Clusters } from './clusters.ts'
import type { Database } from './database.ts'
import type { Faults, Listing } from './faults.ts'
import type { Jobs } from './jobs.ts'
import { nameOf } from './misbehave.ts'
import type { RequestTable, Submission } from './requests.ts'
import type { ServiceState } from './service-state.ts'
import type { Services } from './services.ts'
import type { Settings, SettingsChange } from './settings.ts'
import type { JobRow, State } from './state.ts'

/** What the routes work with. */
export interface Parts {
  home: string
  database: Database
  state: State
  jobs: Jobs
  clusterState: ClusterState
  clusters: Clusters
  clusterJobs: ClusterJobs
  serviceState: ServiceState
  services: Services
  settings: () => Settings
  /** Changes some of the settings, for good. */
  setSettings: (change: SettingsChange) => void
  requests: RequestTable
  faults: Faults
  /** What is listed, as faults change it. */
  listings: { jobs: Listing<JobRow>; clusters: Listing<ClusterRow>; clusterJobs: Listing<ClusterJobRow> }
  /** Aborted when the server closes: streams end. */
  closing: AbortSignal
}

export type Env = { Bindings: { incoming: IncomingMessage }; Variables: { requestId: string } }

/** The version that is spoken, and the oldest client that is served. */
export const VERSION = { api: '62', sky: '0.14.1', clientMin: 24, clientMinName: '0.11.0' }

/** Stands for the real server's own user and hash, where those would show. */
const OWN_USER = { id: '10ca1de5', name: 'local' }
const CONTROLLER = `sky-jobs-controller-${OWN_USER.id}`

/** Every answer has a request id; the versions are only told to clients that tell theirs. */
export const negotiate: MiddlewareHandler<Env> = async (c, next) => {
  const api = c.req.header('x-skypilot-api-version')
  const sky = c.req.header('x-skypilot-version')
  c.set('requestId', randomUUID())
  if (api !== undefined && sky !== undefined) {
    if (!/^\d+$/.test(api)) throw new Error(`ValueError: invalid literal for int(): '${api}'`)
    c.header('X-SkyPilot-API-Version', VERSION.api)
    c.header('X-SkyPilot-Version', VERSION.sky)
    if (Number(api) < VERSION.clientMin) {
      c.header('X-Skypilot-Request-ID', c.get('requestId'))
      return c.json({ error: 'version_mismatch', message: tooOld(sky) }, 400)
    }
  }
  await next()
  if (!c.error || c.error instanceof Invalid) c.header('X-Skypilot-Request-ID', c.get('requestId'))
  return undefined
}

const tooOld = (client: string): string =>
  `Your SkyPilot client version is too old:${client}\n` +
  `The server is running on ${VERSION.sky} and the minimum compatible version is ${VERSION.clientMinName}.\n` +
  `Upgrade your client with:\npip install -U "skypilot==${VERSION.sky}"`

/** A broken request ends on the real server in a stack trace as plain text, without its headers. */
export const traceback = (error: Error): Response =>
  new Response(`Traceback (most recent call last):\n${error.name}: ${error.message}\n`, {
    status: 500,
    headers: { 'Content-Type': 'text/plain; charset=utf-8' },
  })

/** A body that does not fit, in the words of the real server's framework. */
export class Invalid extends Error {
  readonly detail: unknown

  constructor(detail: unknown) {
    super('invalid body')
    this.detail = detail
  }
}

export interface Sent<T> {
  input: T
  /** The body as it came, and whose it is. */
  raw: { body: Record<string, unknown>; user: { id: string; name: string } }
}

const EnvVars = z.looseObject({ SKYPILOT_USER_ID: z.string(), SKYPILOT_USER: z.string() })

/**
 * Reads a body.
 * @throws Invalid when it does not fit
 */
export async function readBody<T>(c: Context<Env>, schema: z.ZodType<T>): Promise<Sent<T>> {
  const value: unknown = await c.req.json().catch(() => {
    throw new Invalid([{ type: 'json_invalid', loc: ['body', 0], msg: 'JSON decode error', input: {} }])
  })
  const body = z.record(z.string(), z.unknown()).safeParse(value)
  if (!body.success)
    throw new Invalid([
      {
        type: 'model_attributes_type',
        loc: ['body'],
        msg: 'Input should be a valid dictionary',
        input: value,
      },
    ])
  const input = schema.safeParse(body.data)
  if (!input.success) throw new Invalid(input.error.issues.map((issue) => describe(issue, body.data)))
  return { input: input.data, raw: { body: body.data, user: userOf(body.data) } }
}

function describe({ path, message, code }: z.core.$ZodIssue, body: Record<string, unknown>) {
  let given: unknown = body
  for (const key of path)
    given = typeof given === 'object' && given !== null ? Reflect.get(given, key) : undefined
  return given === undefined
    ? { type: 'missing', loc: ['body', ...path], msg: 'Field required', input: body }
    : { type: code, loc: ['body', ...path], msg: message, input: given }
}

function userOf(body: Record<string, unknown>): { id: string; name: string } {
  if (body['env_vars'] == null) return OWN_USER
  const { data } = EnvVars.safeParse(body['env_vars'])
  // The real server fails the same way.
  if (!data) throw new Error("KeyError: 'SKYPILOT_USER_ID'")
  return { id: data.SKYPILOT_USER_ID, name: data.SKYPILOT_USER }
}

/** What is queued beside the work itself. */
interface Queued {
  name: string
  schedule?: 'short' | 'long'
}

/** Queues work as the real server does: an empty answer now, the result by the request's id. */
export function submit(
  c: Context<Env>,
  parts: Pick<Parts, 'requests' | 'faults'>,
  queued: string | Queued,
  { raw }: Sent<unknown>,
  work: Submission['work'],
): Response {
  const { name, schedule = 'short' }: Queued = typeof queued === 'string' ? { name: queued } : queued
  const cluster = raw.body['cluster_name']
  const id = parts.requests.submit({
    name: `sky.${name}`,
    ...raw,
    schedule,
    clusterName: name.startsWith('jobs.') ? CONTROLLER : typeof cluster === 'string' ? cluster : null,
    holdMs: parts.faults.take(c.req.path, ['hold'], nameOf(raw.body))?.delayMs ?? 0,
    isRead: READS.has(name),
    work,
  })
  c.set('requestId', id)
  return c.json(null)
}

const READS = new Set([
  'jobs.queue_v2',
  'jobs.events',
  'jobs.logs',
  'logs',
  'status',
  'queue',
  'job_status',
  'cluster_events',
  'cost_report',
  'serve.status',
  'serve.logs',
  'list_accelerators',
])
