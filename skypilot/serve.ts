import type { Downloads } from './downloads.ts'
import type { Calls, LogStream, RequestHandle } from './handle.ts'
import type { CallOptions } from './requests.ts'
import type { ServiceRecord } from './serve-schemas.ts'
import { type TaskInput, taskText } from './task-text.ts'

export interface ServeTask extends CallOptions {
  /** With a `service` section. */
  task: TaskInput
  name: string
  /** From `uploadMounts`, for a task that has local files. */
  fileMountsBlobId?: string | null
}

/** A part of a service that writes a log. A replica needs its id. */
export type ServeTail = {
  name: string
  /** To the end of the replica, unless said otherwise. */
  follow?: boolean
  /** The last so many lines; all of them without it. */
  tail?: number
  signal?: AbortSignal
} & ({ target: 'controller' | 'load_balancer' } | { target: 'replica'; replicaId: number })

/** Which services: some by name, or all. */
export type ServiceChoice = { names: readonly string[] } | { all: true }

export interface ServeLogs extends CallOptions {
  name: string
  /** The folder to write to. */
  into: string
  /** All of them without it. */
  targets?: ReadonlyArray<'controller' | 'load_balancer' | 'replica'>
  replicaIds?: readonly number[]
  /** The last so many lines; all of them without it. */
  tail?: number
}

/** Services: copies of a task behind one address. The server keeps a controller for them, which the first `up` makes. */
export const createServe = (calls: Calls, downloads: Downloads) => ({
  ...lifecycle(calls),
  ...looks(calls, downloads),
})

function lifecycle(calls: Calls) {
  return {
    /** Brings a service up. The result comes with its address, before a replica is ready: watch `status`. */
    up: ({ task, name, fileMountsBlobId, ...options }: ServeTask) => {
      const body = { task: taskText(task), service_name: name, file_mounts_blob_id: fileMountsBlobId ?? null }
      return calls.begin('serve.up', { path: '/serve/up', body }, options)
    },

    /** Gives a service a new task. `rolling` replaces one replica after the other, `blue_green` all at once. */
    update: ({
      task,
      name,
      fileMountsBlobId,
      mode,
      ...options
    }: ServeTask & { mode?: 'rolling' | 'blue_green' }) => {
      const body = {
        task: taskText(task),
        service_name: name,
        mode: mode ?? 'rolling',
        file_mounts_blob_id: fileMountsBlobId ?? null,
      }
      return calls.begin('serve.update', { path: '/serve/update', body }, options)
    },

    /**
     * Takes services down. `purge` forgets failed ones too, whose machines may go on, and cost.
     * @throws RangeError for an empty list of names
     */
    async down(choice: ServiceChoice & { purge?: boolean } & CallOptions): Promise<RequestHandle<undefined>> {
      if ('names' in choice && choice.names.length === 0)
        throw new RangeError('no names: name the services to take down')
      const body = {
        service_names: 'names' in choice ? choice.names : null,
        all: 'all' in choice,
        purge: choice.purge ?? false,
      }
      return calls.begin('serve.down', { path: '/serve/down', body }, choice)
    },

    /** Takes one replica down; the service makes another in its place as its policy says. */
    terminateReplica: ({
      name,
      replicaId,
      purge,
      ...options
    }: { name: string; replicaId: number; purge?: boolean } & CallOptions) => {
      const body = { service_name: name, replica_id: replicaId, purge: purge ?? false }
      return calls.begin('serve.terminate_replica', { path: '/serve/terminate-replica', body }, options)
    },
  }
}

function looks(calls: Calls, downloads: Downloads) {
  return {
    /** Services and their replicas; all of them without names. Unknown names are left out of the answer. */
    status({ names, ...options }: { names?: readonly string[] } & CallOptions = {}): Promise<
      ServiceRecord[]
    > {
      return calls.ask(
        'serve.status',
        { path: '/serve/status', body: { service_names: names ?? null } },
        options,
      )
    },

    /** Opens the log of a part of a service. */
    tailLogs(tail: ServeTail): Promise<LogStream> {
      const body = {
        service_name: tail.name,
        target: tail.target,
        replica_id: tail.target === 'replica' ? tail.replicaId : null,
        follow: tail.follow ?? true,
        tail: tail.tail ?? null,
      }
      return calls.tail('serve.logs', { path: '/serve/logs', body }, tail.signal)
    },

    /** Fetches the logs of a service into a folder of ours, and gives back the folder. */
    async downloadLogs({ name, into, targets, replicaIds, tail, ...options }: ServeLogs): Promise<string> {
      const body = {
        service_name: name,
        // The server puts a folder of its own in place of this.
        local_dir: '',
        targets: targets ?? null,
        replica_ids: replicaIds ?? null,
        tail: tail ?? null,
      }
      const there = await calls.ask('serve.sync_down_logs', { path: '/serve/sync-down-logs', body }, options)
      return downloads.folder(there, into, options)
    },
  }
}
