import type { Context, Hono } from 'hono'
import { z } from 'zod'
import { type Env, type Parts, readBody, type Sent, submit } from './exchange.ts'
import { taskOf } from './jobs.ts'
import { streamLog, TAIL_CODES } from './log-routes.ts'
import { PICKLED_NONE } from './pickle.ts'
import { RequestFailure } from './requests.ts'
import type { ReplicaRow, ServiceRow } from './service-state.ts'
import { serviceStatus } from './services.ts'
import { parseTask } from './task.ts'

const Task = z.object({
  task: z.string(),
  service_name: z.string(),
  file_mounts_blob_id: z.string().nullish(),
})
const Names = z
  .union([z.string().transform((name) => [name]), z.array(z.string())])
  .nullish()
  .transform((names) => names ?? null)
const Some = z.object({ service_names: Names, all: z.boolean().nullish() })
const Replica = z.object({ service_name: z.string(), replica_id: z.int() })
const Logs = z.object({
  service_name: z.string(),
  target: z.string(),
  replica_id: z.int().nullish(),
  follow: z.boolean().default(true),
  tail: z.int().min(0).nullish(),
})

/** Services: replicas of one task, kept running. */
export function serveRoutes(app: Hono<Env>, parts: Parts): void {
  const { services, serviceState } = parts
  app.post('/serve/up', async (c) => {
    const sent = await readBody(c, Task)
    const { service_name: name, task, file_mounts_blob_id: blobId } = sent.input
    return submit(c, parts, { name: 'serve.up', schedule: 'long' }, sent, () => {
      services.up(name, parseTask(task, name, blobId ?? null), task, sent.raw.user.id)
      // There is no load balancer: a replica is reached where it listens itself.
      return [name, null]
    })
  })
  app.post('/serve/update', async (c) => {
    const sent = await readBody(c, Task)
    const { service_name: name, task, file_mounts_blob_id: blobId } = sent.input
    return submit(c, parts, 'serve.update', sent, () =>
      services.update(name, parseTask(task, name, blobId ?? null), task),
    )
  })
  app.post('/serve/down', async (c) => {
    const sent = await readBody(c, Some)
    return submit(c, parts, 'serve.down', sent, () => {
      const { service_names: names, all } = sent.input
      if ((names === null) !== (all === true))
        throw new RequestFailure('ValueError', 'Exactly one of service_names or all must be specified.')
      return services.down(names)
    })
  })
  app.post('/serve/terminate-replica', async (c) => {
    const sent = await readBody(c, Replica)
    return submit(c, parts, 'serve.terminate_replica', sent, () =>
      services.terminate(sent.input.service_name, sent.input.replica_id),
    )
  })
  app.post('/serve/status', async (c) => {
    const sent = await readBody(c, Some)
    return submit(c, parts, 'serve.status', sent, () =>
      serviceState
        .services()
        .filter(({ name }) => sent.input.service_names?.includes(name) ?? true)
        .map((service) => recordOf(service, serviceState.replicas(service.name))),
    )
  })
  // There are no pools, and SkyPilot's own status command asks for them.
  app.post('/jobs/pool_status', async (c) => {
    const sent = await readBody(c, z.object({}))
    return submit(c, parts, 'jobs.pool_status', sent, () => [])
  })
  app.post('/serve/logs', async (c) => serviceLogs(c, parts, await readBody(c, Logs)))
}

function recordOf(service: ServiceRow, replicas: readonly ReplicaRow[]): Record<string, unknown> {
  const task = taskOf(service)
  return {
    name: service.name,
    status: serviceStatus(service, replicas),
    uptime: service.first_ready_at,
    version: service.version,
    active_versions: [
      ...new Set(replicas.filter(({ status }) => status === 'READY').map(({ version }) => version)),
    ],
    policy: `Fixed ${task.replicas ?? 1} replica${task.replicas === 1 ? '' : 's'}`,
    target_num_replicas: task.replicas ?? 1,
    requested_resources_str: task.resources,
    load_balancing_policy: 'none',
    tls_encrypted: false,
    endpoint: null,
    load_balancer_port: null,
    pool: false,
    replica_info: replicas.map((replica) => ({
      replica_id: replica.replica_id,
      name: `${service.name}-${replica.replica_id}`,
      status: replica.status,
      version: replica.version,
      endpoint: null,
      is_spot: false,
      launched_at: Math.floor(replica.launched_at),
      cloud: 'Local',
      region: 'this-machine',
      resources_str: task.resources,
      handle: PICKLED_NONE,
    })),
  }
}

function serviceLogs(c: Context<Env>, parts: Parts, sent: Sent<z.infer<typeof Logs>>): Response {
  const { services, serviceState } = parts
  const { service_name: name, target, replica_id: replicaId, follow, tail } = sent.input
  const find = () => serviceState.replicas(name).find((row) => row.replica_id === replicaId)
  const replica = find()
  const order = { follow, tail: tail || null, code: () => (replica ? 0 : TAIL_CODES.notFound) }
  if (!target.toLowerCase().endsWith('replica')) {
    const words = serviceState
      .replicas(name)
      .map((row) => `replica ${row.replica_id} of version ${row.version}: ${row.status}\n`)
      .join('')
    return streamLog(c, parts, 'serve.logs', sent, { ...order, job: undefined, words })
  }
  if (!replica) {
    const words = `Replica ${replicaId ?? ''} of service '${name}' not found.\n`
    return streamLog(c, parts, 'serve.logs', sent, { ...order, job: undefined, words })
  }
  return streamLog(c, parts, 'serve.logs', sent, {
    ...order,
    job: {
      name,
      numNodes: 1,
      folder: () => services.folder(replica),
      isWaiting: () => find()?.status === 'PROVISIONING',
      isOver: () => (find()?.status ?? 'FAILED') === 'FAILED',
      neverBegan: () => `Replica ${replica.replica_id} never began.\n`,
      lastWords: () => `Replica ${replica.replica_id} has ended.\n`,
    },
  })
}
