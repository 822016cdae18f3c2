import type { Hono } from 'hono'
import { z } from 'zod'
import { clusterRecord, costRecord, handleOf } from './cluster-records.ts'
import type { LaunchOrder, Launched } from './clusters.ts'
import { now } from './database.ts'
import { type Env, type Parts, readBody, type Sent, submit } from './exchange.ts'
import { PICKLED_NONE } from './pickle.ts'
import { RequestFailure } from './requests.ts'
import { type Autostop, parseTask } from './task.ts'

const flag = z
  .boolean()
  .nullish()
  .transform((value) => value ?? false)
const names = z.array(z.string()).nullish()
const minutes = z.int().nullish()
const Named = z.object({ cluster_name: z.string() })
const Launch = Named.extend({
  task: z.string(),
  dryrun: flag,
  no_setup: flag,
  fast: flag,
  down: flag,
  retry_until_up: flag,
  include_credentials: flag,
  idle_minutes_to_autostop: minutes,
  entrypoint_command: z.string().nullish(),
  file_mounts_blob_id: z.string().nullish(),
})
type Launch = z.infer<typeof Launch>
const Start = Named.extend({ idle_minutes_to_autostop: minutes, down: flag })
const StopAfter = Named.extend({ idle_minutes: z.int(), down: flag })
const Status = z.object({
  cluster_names: names,
  refresh: z.enum(['NONE', 'AUTO', 'FORCE']).default('NONE'),
  all_users: z.boolean().default(true),
  include_credentials: z.boolean().default(true),
  include_handle: z.boolean().default(true),
  summary_response: z.boolean().default(false),
})
const Events = z.object({
  cluster_name: z.string().nullish(),
  cluster_hash: z.string().nullish(),
  event_type: z.string(),
  include_timestamps: flag,
  limit: z.int().min(0).nullish(),
})
const Cost = z.object({
  days: z.int().min(0).nullish(),
  cluster_names: names,
  cluster_hashes: names,
})
const DAY_S = 86_400

/** Clusters: their life, and what is told of them. */
export function clusterRoutes(app: Hono<Env>, parts: Parts): void {
  launchRoutes(app, parts)
  lifeRoutes(app, parts)
  recordRoutes(app, parts)
}

function launchRoutes(app: Hono<Env>, parts: Parts): void {
  const { clusters } = parts
  app.post('/launch', async (c) => {
    const sent = await readBody(c, Launch)
    return submit(c, parts, { name: 'launch', schedule: 'long' }, sent, async (work) => {
      const launched = await clusters.launch(orderOf(sent), work)
      // There is nothing to log in to; who asked for credentials must find the field all the same.
      return { ...submitted(launched), ...(sent.input.include_credentials ? { credentials: null } : {}) }
    })
  })
  app.post('/exec', async (c) => {
    const sent = await readBody(c, Launch)
    const { cluster_name: name, task, file_mounts_blob_id: blobId, dryrun } = sent.input
    return submit(c, parts, { name: 'exec', schedule: 'long' }, sent, async (work) => {
      const read = parseTask(task, null, blobId ?? null)
      if (dryrun) return submitted({ jobId: null, cluster: null })
      return submitted(await clusters.exec(name, read, sent.raw.user, work))
    })
  })
}

const submitted = ({ jobId, cluster }: Launched) => ({
  job_id: jobId,
  handle: cluster === null ? PICKLED_NONE : handleOf(cluster),
})

function orderOf({ input, raw }: Sent<Launch>): LaunchOrder {
  return {
    name: input.cluster_name,
    task: parseTask(input.task, null, input.file_mounts_blob_id ?? null),
    yaml: input.task,
    command: input.entrypoint_command ?? '',
    user: raw.user,
    dryrun: input.dryrun,
    noSetup: input.no_setup,
    fast: input.fast,
    retryUntilUp: input.retry_until_up,
    autostop: autostopOf(input),
  }
}

/** The older way to ask for it, beside the task's own. `down` alone means as soon as it is idle. */
function autostopOf(input: {
  idle_minutes_to_autostop?: number | null | undefined
  down: boolean
}): Autostop | null {
  const idleMinutes = input.idle_minutes_to_autostop ?? (input.down ? 0 : null)
  return idleMinutes === null ? null : { idleMinutes, down: input.down }
}

function lifeRoutes(app: Hono<Env>, parts: Parts): void {
  const { clusters } = parts
  app.post('/start', async (c) => {
    const sent = await readBody(c, Start)
    return submit(c, parts, { name: 'start', schedule: 'long' }, sent, async (work) =>
      handleOf(await clusters.startCluster(sent.input.cluster_name, autostopOf(sent.input), work)),
    )
  })
  app.post('/stop', async (c) => {
    const sent = await readBody(c, Named)
    return submit(c, parts, 'stop', sent, (work) =>
      clusters.stop(sent.input.cluster_name, sent.raw.user, work),
    )
  })
  app.post('/down', async (c) => {
    const sent = await readBody(c, Named)
    return submit(c, parts, 'down', sent, (work) =>
      clusters.down(sent.input.cluster_name, sent.raw.user, work),
    )
  })
  app.post('/autostop', async (c) => {
    const sent = await readBody(c, StopAfter)
    const { cluster_name: name, idle_minutes: idleMinutes, down } = sent.input
    return submit(c, parts, 'autostop', sent, () => clusters.autostop(name, { idleMinutes, down }))
  })
  app.post('/endpoints', async (c) => {
    const sent = await readBody(c, z.object({ cluster: z.string() }))
    return submit(c, parts, 'endpoints', sent, () => endpointsOf(parts, sent.input.cluster))
  })
}

/** No cluster opens ports here. */
function endpointsOf({ clusterState }: Parts, name: string): Record<string, string> {
  const row = clusterState.cluster(name)
  if (!row) throw new RequestFailure('ClusterNotUpError', `Cluster '${name}' not found.`)
  if (row.status !== 'UP')
    throw new RequestFailure('ClusterNotUpError', `Cluster '${name}' is not in UP status.`)
  return {}
}

function recordRoutes(app: Hono<Env>, parts: Parts): void {
  const { clusterState, listings, settings } = parts
  app.post('/status', async (c) => {
    const sent = await readBody(c, Status)
    const { cluster_names: wanted, refresh, all_users: allUsers, ...wish } = sent.input
    const userId = sent.raw.user.id
    const schedule = refresh === 'NONE' ? 'short' : 'long'
    return submit(c, parts, { name: 'status', schedule }, sent, () =>
      listings.clusters
        .rows(c.req.path, userId)
        .filter(({ name }) => wanted == null || wanted.includes(name))
        .filter((row) => allUsers || wanted != null || row.user_hash === userId)
        .map((row) => clusterRecord(row, wish)),
    )
  })
  app.post('/cluster_events', async (c) => {
    const sent = await readBody(c, Events)
    return submit(c, parts, 'cluster_events', sent, () => eventsOf(parts, sent.input))
  })
  app.post('/cost_report', async (c) => {
    const sent = await readBody(c, Cost)
    const { days, cluster_names: wanted, cluster_hashes: hashes } = sent.input
    const since = now() - (days ?? 30) * DAY_S
    const isShort = wanted == null && hashes == null
    return submit(c, parts, 'cost_report', sent, () =>
      clusterState
        .history()
        .filter(({ gone_at: gone }) => gone === null || gone >= since)
        .filter(({ name }) => wanted == null || wanted.includes(name))
        .filter(({ hash }) => hashes == null || hashes.includes(hash))
        .map((row) => costRecord(clusterState, row, { pricePerHour: settings().pricePerHour, isShort })),
    )
  })
  app.post('/provision_logs', async (c) => {
    const { input } = await readBody(c, Named)
    const row = clusterState.cluster(input.cluster_name)
    if (!row) return c.json({ detail: `Cluster ${input.cluster_name} does not exist` }, 404)
    const lines = clusterState
      .events(row.hash)
      .map(({ at, reason }) => `${new Date(at * 1_000).toISOString()} ${reason}\n`)
    const tail = Number(c.req.query('tail') ?? 0)
    return c.text((tail > 0 ? lines.slice(-tail) : lines).join(''))
  })
}

function eventsOf({ clusterState }: Parts, input: z.infer<typeof Events>) {
  const { cluster_name: name, cluster_hash: hash, limit } = input
  const row = clusterState
    .history()
    .find((known) => (hash == null ? known.name === name && known.gone_at === null : known.hash === hash))
  const kinds = input.event_type.split(',')
  const events = row && kinds.includes('STATUS_CHANGE') ? clusterState.events(row.hash) : []
  const last = limit == null ? events : events.slice(-limit)
  return last.map(({ reason, at }) =>
    input.include_timestamps ? { reason, transitioned_at: Math.floor(at) } : reason,
  )
}
