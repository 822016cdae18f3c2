import { createHash } from 'node:crypto'
import type { ClusterJobRow, ClusterRow, ClusterState } from './cluster-state.ts'
import { now } from './database.ts'
import { taskOf } from './jobs.ts'
import { PICKLED_NONE } from './pickle.ts'
import { stampOf } from './surroundings.ts'

/** Which parts of a record a client wants. */
export interface RecordWish {
  include_credentials: boolean
  include_handle: boolean
  summary_response: boolean
}

const PLACE = { cloud: 'Local', region: 'this-machine' }

/** A cluster as `/status` tells it. Fields without a value are left out, as the real server does. */
export function clusterRecord(row: ClusterRow, wish: RecordWish): Record<string, unknown> {
  const isInit = row.status === 'INIT'
  return {
    name: row.name,
    launched_at: Math.floor(row.launched_at),
    status: row.status,
    autostop: row.autostop,
    to_down: row.to_down === 1,
    cluster_hash: row.hash,
    cluster_ever_up: row.ever_up === 1,
    user_hash: row.user_hash,
    user_name: row.user_name,
    workspace: 'default',
    is_managed: false,
    ...resourcesOf(row),
    labels: {},
    priority: 0,
    ...(isInit ? {} : { node_names: nodeNames(row) }),
    ...(isInit && !wish.summary_response
      ? { init_kind: 'launching', init_status_reason: row.init_reason ?? row.last_event }
      : {}),
    ...(wish.summary_response ? { last_use: '', status_updated_at: 0 } : details(row)),
    ...(wish.include_credentials && row.status === 'UP' ? { credentials: {} } : {}),
    handle: wish.include_handle ? handleOf(row) : PICKLED_NONE,
    storage_mounts_metadata: PICKLED_NONE,
  }
}

function details(row: ClusterRow): Record<string, unknown> {
  return {
    last_use: row.command,
    metadata: {},
    status_updated_at: Math.floor(row.status_updated_at),
    last_creation_yaml: row.yaml,
    last_creation_command: row.command,
    last_event: row.last_event,
    cluster_name_on_cloud: nameOnCloud(row),
    links: {},
    ...(row.status === 'INIT' ? {} : { config_hash: createHash('sha256').update(row.hash).digest('hex') }),
  }
}

const nameOnCloud = (row: ClusterRow): string => `${row.name}-${row.user_hash}`

const nodeNames = (row: ClusterRow): string =>
  Array.from({ length: taskOf(row).numNodes }, (_, rank) => `${row.name}-${rank}`).join(', ')

function resourcesOf(row: ClusterRow): Record<string, unknown> {
  const { demand, numNodes } = taskOf(row)
  const cpus = String(demand.cpus ?? 1)
  const memory = demand.memoryGb ?? 0
  const gpus = demand.accelerator ? `gpus=${demand.accelerator.name}:${demand.accelerator.count}, ` : ''
  return {
    nodes: numNodes,
    ...PLACE,
    cpus,
    memory: memory.toFixed(1),
    ...(demand.accelerator
      ? { accelerators: `{'${demand.accelerator.name}': ${demand.accelerator.count}}` }
      : {}),
    resources_str: `${numNodes}x(${gpus}cpus=${cpus}, mem=${memory}, ...)`,
    resources_str_full: `${numNodes}x(${gpus}cpus=${cpus}, mem=${memory}, disk=256)`,
  }
}

/**
 * The handle of a cluster, as a dictionary: SkyPilot's client of 0.14.1 takes it in place of a pickle. It names no
 * address, for there is nothing to log in to.
 */
export function handleOf(row: ClusterRow): Record<string, unknown> {
  const { demand, numNodes } = taskOf(row)
  return {
    cluster_name: row.name,
    cluster_name_on_cloud: nameOnCloud(row),
    cluster_yaml: null,
    launched_nodes: numNodes,
    launched_resources: {
      ...(demand.cpus === null ? {} : { cpus: demand.cpus }),
      ...(demand.memoryGb === null ? {} : { memory: demand.memoryGb }),
    },
    stable_internal_external_ips: null,
    stable_ssh_ports: null,
    docker_user: null,
    is_grpc_enabled: false,
    ssh_user: null,
  }
}

/** A job of a cluster as `/queue` tells it. */
export function clusterJobRecord(job: ClusterJobRow): Record<string, unknown> {
  return {
    job_id: job.job_id,
    job_name: job.name,
    username: job.user_name,
    user_hash: job.user_hash,
    submitted_at: job.submitted_at,
    start_at: job.start_at,
    end_at: job.end_at,
    resources: taskOf(job).resources,
    status: job.status,
    log_path: `~/sky_logs/sky-${stampOf(job.submitted_at)}`,
    metadata: {},
    links: {},
  }
}

/** What a cluster used and costs, whether it is there or gone. */
export function costRecord(
  state: ClusterState,
  row: ClusterRow,
  { pricePerHour, isShort }: { pricePerHour: number; isShort: boolean },
): Record<string, unknown> {
  const usage = state.usage(row.hash)
  const seconds = usage.reduce((sum, { begin_at: begin, end_at: end }) => sum + (end ?? now()) - begin, 0)
  const { numNodes, demand } = taskOf(row)
  const { nodes: _nodes, accelerators: _accelerators, ...resources } = resourcesOf(row)
  return {
    name: row.name,
    launched_at: Math.floor(row.launched_at),
    duration: Math.floor(seconds),
    num_nodes: numNodes,
    resources: PICKLED_NONE,
    priority: null,
    priority_class: null,
    cluster_hash: row.hash,
    usage_intervals: usage.map(({ begin_at: begin, end_at: end }) => [
      Math.floor(begin),
      end === null ? null : Math.floor(end),
    ]),
    status: row.gone_at === null ? row.status : null,
    user_hash: row.user_hash,
    user_name: row.user_name,
    workspace: 'default',
    last_event: row.last_event,
    node_names: nodeNames(row),
    last_creation_yaml: isShort ? null : row.yaml,
    last_creation_command: isShort ? null : row.command,
    total_cost: (seconds / 3_600) * numNodes * pricePerHour,
    ...resources,
    accelerators: demand.accelerator ? `{'${demand.accelerator.name}': ${demand.accelerator.count}}` : 'None',
  }
}
