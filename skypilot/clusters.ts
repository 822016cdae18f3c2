import { createClusterJobs } from './cluster-jobs.ts'
import type { Downloads } from './downloads.ts'
import type { Calls, RequestHandle } from './handle.ts'
import { logLines } from './log-lines.ts'
import type { CallOptions } from './requests.ts'
import type { ClusterList } from './results.ts'
import { type ClusterEvent, type CostRecord, wholeSeconds } from './schemas.ts'
import { type TaskInput, taskText } from './task-text.ts'
import type { Transport } from './transport.ts'

/** What keeps an idle cluster up. */
export type WaitFor = 'jobs' | 'jobs_and_ssh' | 'none'

export interface LaunchCluster extends CallOptions {
  task: TaskInput
  name: string
  /** Go on looking for machines until there are some. */
  retryUntilUp?: boolean
  /** Only plan: nothing is launched, and there is no job. */
  dryrun?: boolean
  noSetup?: boolean
  /** Leave setup out where the cluster is up already. */
  fast?: boolean
  /** What the choice of machines minimises. Cost, unless said otherwise. */
  optimizeTarget?: 'cost' | 'time'
  /** Stop the cluster after so many minutes without a job; with `down`, take it down. */
  idleMinutesToAutostop?: number
  /** Take the cluster down when all is done. */
  down?: boolean
  /** Take the disk of this cluster, which must be stopped. */
  cloneDiskFrom?: string
  /** From `uploadMounts`, for a task that has local files. */
  fileMountsBlobId?: string | null
}

export interface StartCluster extends CallOptions {
  name: string
  /** Stop it again after so many minutes without a job; -1 never. What was set before, without it. */
  idleMinutesToAutostop?: number
  waitFor?: WaitFor
  retryUntilUp?: boolean
  /** With idle minutes: take the cluster down in place of stopping it. */
  down?: boolean
  /** Set the cluster up again though it is up. */
  force?: boolean
}

export interface EndCluster extends CallOptions {
  name: string
  /** Forget the cluster also if its cloud cannot be asked. What runs there may go on, and cost. */
  purge?: boolean
  /** First cancel the jobs and let their mounted data be written back. */
  graceful?: boolean
  gracefulTimeoutMs?: number
}

/** When an idle cluster is stopped, or taken down. */
export interface Autostop extends CallOptions {
  name: string
  /** Minutes without a job; -1 switches autostop off. */
  idleMinutes: number
  /** Take the cluster down in place of stopping it. */
  down?: boolean
  waitFor?: WaitFor
  /** A script that runs on the cluster before it goes. */
  hook?: string
  hookTimeoutMs?: number
}

export interface StatusQuery extends CallOptions {
  /** These only. Unknown names are left out of the answer. */
  names?: readonly string[]
  /**
   * NONE reads what the server knows, which it refreshes itself about once a minute. AUTO asks the cloud about clusters
   * that may have changed, FORCE about all: seconds each.
   */
  refresh?: 'NONE' | 'AUTO' | 'FORCE'
  /** Clusters of everybody. True unless said otherwise. */
  allUsers?: boolean
}

export interface EventQuery extends CallOptions {
  /** Only while the cluster exists. */
  name?: string
  /** Also of one that is gone; `costReport` knows it. */
  clusterHash?: string
  /** Changes of its status, unless said otherwise. */
  types?: ReadonlyArray<'STATUS_CHANGE' | 'DEBUG' | 'LAUNCH_PROGRESS'>
  limit?: number
}

/** Clusters: machines that stay until they are stopped or taken down, and the jobs on them. */
export const createClusters = (transport: Transport, calls: Calls, downloads: Downloads) => ({
  ...lifecycle(calls),
  ...records(calls),
  ...createClusterJobs(calls, downloads),

  /**
   * Opens the log of how the cluster was made. @throws SkyPilotError `rejected` where there is none
   */
  async provisionLogs(query: {
    name: string
    follow?: boolean
    /** The last so many lines; all of them without it. */
    tail?: number
    /** From 1; the head node without it. */
    worker?: number
    signal?: AbortSignal
  }): Promise<AsyncIterable<string>> {
    const { name, follow, tail, worker, signal } = query
    const path = `/provision_logs?follow=${follow ?? true}&tail=${tail ?? 0}`
    const body = { cluster_name: name, worker: worker ?? null }
    return logLines((await transport.openLog({ method: 'POST', path, body, signal })).body)
  },
})

function lifecycle(calls: Calls) {
  return {
    /**
     * Provisions a cluster, or takes one that is there, and submits the task as a job of it. **Not idempotent**: each
     * call that arrives is one more job. The result comes when the job is submitted, not when it ends.
     */
    launch: (launch: LaunchCluster) =>
      calls.begin('launch', { path: '/launch', body: launchBody(launch) }, launch),

    /** Starts a stopped cluster again. One that is up is left as it is. */
    start: ({ name, idleMinutesToAutostop, waitFor, ...start }: StartCluster) => {
      const body = {
        cluster_name: name,
        idle_minutes_to_autostop: idleMinutesToAutostop ?? null,
        wait_for: waitFor ?? null,
        retry_until_up: start.retryUntilUp ?? false,
        down: start.down ?? false,
        force: start.force ?? false,
      }
      return calls.begin('start', { path: '/start', body }, start)
    },

    /** Stops the machines and keeps their disks. Clouds that cannot do so answer `NotSupportedError`. */
    stop: (end: EndCluster): Promise<RequestHandle<undefined>> =>
      calls.begin('stop', { path: '/stop', body: endBody(end) }, end),

    /**
     * Takes the cluster down, and first cancels every active request for it: the right way to give a launch up.
     * A cluster that is not there is `rejected` with `ClusterDoesNotExist`.
     */
    down: (end: EndCluster): Promise<RequestHandle<undefined>> =>
      calls.begin('down', { path: '/down', body: endBody(end) }, end),

    /** Sets what becomes of the cluster when it is idle. */
    autostop: ({ name, idleMinutes, down, waitFor, hook, hookTimeoutMs, ...options }: Autostop) => {
      const body = {
        cluster_name: name,
        idle_minutes: idleMinutes,
        down: down ?? false,
        wait_for: waitFor ?? null,
        hook: hook ?? null,
        hook_timeout: wholeSeconds(hookTimeoutMs),
      }
      return calls.begin('autostop', { path: '/autostop', body }, options)
    },
  }
}

const launchBody = (launch: LaunchCluster) => ({
  task: taskText(launch.task),
  cluster_name: launch.name,
  retry_until_up: launch.retryUntilUp ?? false,
  dryrun: launch.dryrun ?? false,
  no_setup: launch.noSetup ?? false,
  fast: launch.fast ?? false,
  optimize_target: launch.optimizeTarget === 'time' ? 1 : 0,
  idle_minutes_to_autostop: launch.idleMinutesToAutostop ?? null,
  down: launch.down ?? false,
  clone_disk_from: launch.cloneDiskFrom ?? null,
  file_mounts_blob_id: launch.fileMountsBlobId ?? null,
})

const endBody = ({ name, purge, graceful, gracefulTimeoutMs }: EndCluster) => ({
  cluster_name: name,
  purge: purge ?? false,
  graceful: graceful ?? false,
  graceful_timeout: wholeSeconds(gracefulTimeoutMs),
})

function records(calls: Calls) {
  return {
    /** Clusters as the server last saw them. Never asks for the SSH keys that the server would send by default. */
    status({ names, refresh, allUsers, ...options }: StatusQuery = {}): Promise<ClusterList> {
      const body = {
        cluster_names: names ?? null,
        refresh: refresh ?? 'NONE',
        all_users: allUsers ?? true,
        include_credentials: false,
        include_handle: false,
      }
      return calls.ask('status', { path: '/status', body }, options)
    },

    /** The addresses of the ports that the cluster opens, by port; of one port where it is named. */
    endpoints({ name, port, ...options }: { name: string; port?: number } & CallOptions) {
      const body = { cluster: name, port: port ?? null }
      return calls.ask('endpoints', { path: '/endpoints', body }, options)
    },

    /** What happened to a cluster, oldest first. */
    events({ name, clusterHash, types, limit, ...options }: EventQuery): Promise<ClusterEvent[]> {
      const body = {
        cluster_name: name ?? null,
        cluster_hash: clusterHash ?? null,
        event_type: (types ?? ['STATUS_CHANGE']).join(','),
        include_timestamps: true,
        limit: limit ?? null,
      }
      return calls.ask('cluster_events', { path: '/cluster_events', body }, options)
    },

    /** What clusters cost, those included that are gone: the only record of a vanished cluster. */
    costReport(query: CostQuery = {}): Promise<CostRecord[]> {
      const { days, names, clusterHashes, excludeManaged, ...options } = query
      const body = {
        days: days ?? 30,
        cluster_names: names ?? null,
        cluster_hashes: clusterHashes ?? null,
        exclude_managed_clusters: excludeManaged ?? false,
      }
      return calls.ask('cost_report', { path: '/cost_report', body }, options)
    },
  }
}

export interface CostQuery extends CallOptions {
  /** How far back. 30 unless said otherwise. */
  days?: number
  names?: readonly string[]
  clusterHashes?: readonly string[]
  /** Leave out the clusters of managed jobs and services. */
  excludeManaged?: boolean
}
