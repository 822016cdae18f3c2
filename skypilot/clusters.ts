import { z } from 'zod'
import { createClusterJobs, Submitted } from './cluster-jobs.ts'
import { type RequestHandle, submitted } from './handle.ts'
import type { CallOptions, Requests } from './requests.ts'
import { ClusterEvent, ClusterRecord, CostRecord, rows } from './schemas.ts'
import type { Transport } from './transport.ts'

/** When an idle cluster is stopped, or taken down. */
export interface AutostopOptions extends CallOptions {
  name: string
  /** Minutes without a job; -1 switches autostop off. */
  idleMinutes: number
  /** Take the cluster down in place of stopping it. */
  down?: boolean
  /** What counts as busy. */
  waitFor?: 'jobs' | 'jobs_and_ssh' | 'none'
}

export interface LaunchCluster extends CallOptions {
  /** The task as YAML text. */
  task: string
  name: string
  /** Go on looking for machines until there are some. */
  retryUntilUp?: boolean
  dryrun?: boolean
  noSetup?: boolean
  /** Leave setup out where the cluster is up already. */
  fast?: boolean
}

const Nothing = z.unknown().transform(() => undefined)

/** Clusters: machines that stay until they are stopped or taken down, and the jobs on them. */
export const createClusters = (transport: Transport, requests: Requests) => ({
  ...lifecycle(transport, requests),
  ...records(requests),
  ...createClusterJobs(transport, requests),
})

function lifecycle(transport: Transport, requests: Requests) {
  const parts = { transport, requests }
  const begin = (path: string, body: Record<string, unknown>, options: CallOptions) =>
    submitted(parts, { path, body, schema: Nothing, options })

  return {
    /**
     * Provisions a cluster, or takes one that is there, and submits the task as a job of it. **Not idempotent**: each
     * call that arrives is one more job. The result comes when the job is submitted, not when it ends.
     */
    launch: ({ task, name, retryUntilUp, dryrun, noSetup, fast, ...options }: LaunchCluster) =>
      submitted(parts, {
        path: '/launch',
        schema: Submitted,
        options,
        body: {
          task,
          cluster_name: name,
          retry_until_up: retryUntilUp ?? false,
          dryrun: dryrun ?? false,
          no_setup: noSetup ?? false,
          fast: fast ?? false,
        },
      }),

    /** Starts a stopped cluster again. One that is up is left as it is. */
    start: ({ name, ...options }: { name: string } & CallOptions): Promise<RequestHandle<undefined>> =>
      begin('/start', { cluster_name: name }, options),

    /** Stops the machines and keeps their disks. Clouds that cannot do so answer `NotSupportedError`. */
    stop: ({ name, ...options }: { name: string } & CallOptions): Promise<RequestHandle<undefined>> =>
      begin('/stop', { cluster_name: name }, options),

    /**
     * Takes the cluster down, and first cancels every active request for it: the right way to give a launch up.
     * A cluster that is not there is `rejected` with `ClusterDoesNotExist`.
     */
    down: ({ name, ...options }: { name: string } & CallOptions): Promise<RequestHandle<undefined>> =>
      begin('/down', { cluster_name: name }, options),

    /** Sets what becomes of the cluster when it is idle. */
    autostop: ({ name, idleMinutes, down, waitFor, ...options }: AutostopOptions) =>
      begin(
        '/autostop',
        {
          cluster_name: name,
          idle_minutes: idleMinutes,
          down: down ?? false,
          ...(waitFor ? { wait_for: waitFor } : {}),
        },
        options,
      ),
  }
}

function records(requests: Requests) {
  return {
    /** Clusters as the server last saw them. Never asks for the SSH keys that the server would send by default. */
    async status(query: { names?: readonly string[] } & CallOptions = {}): Promise<ClusterRecord[]> {
      const { names, ...call } = query
      const body = {
        cluster_names: names ?? null,
        refresh: 'NONE',
        all_users: true,
        include_credentials: false,
        include_handle: false,
      }
      return rows(ClusterRecord, await requests.call('/status', body, z.array(z.unknown()), call)).read
    },

    /** What happened to a cluster, oldest first. By name only while the cluster exists. */
    async events({ name, limit, ...call }: { name: string; limit?: number } & CallOptions) {
      const body = {
        cluster_name: name,
        event_type: 'STATUS_CHANGE',
        include_timestamps: true,
        limit: limit ?? null,
      }
      return requests.call('/cluster_events', body, z.array(ClusterEvent), call)
    },

    /** What clusters cost, those included that are gone: the only record of a vanished cluster. */
    async costReport({ days, ...call }: { days?: number } & CallOptions = {}): Promise<CostRecord[]> {
      const all = await requests.call('/cost_report', { days: days ?? 30 }, z.array(z.unknown()), call)
      return rows(CostRecord, all).read
    },
  }
}
