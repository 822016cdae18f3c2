import { fromStatus } from './answers.ts'
import type { Calls } from './handle.ts'
import type { CallOptions } from './requests.ts'
import { type TaskInput, taskText } from './task-text.ts'
import type { Transport } from './transport.ts'

export interface AcceleratorQuery extends CallOptions {
  /** No TPUs and the like. True unless said otherwise. */
  gpusOnly?: boolean
  /** A regular expression. */
  name?: string
  /** A regular expression. */
  region?: string
  quantity?: number
  clouds?: readonly string[]
}

export interface OfferQuery extends AcceleratorQuery {
  /** One offer for each region, in place of the cheapest one. */
  allRegions?: boolean
  /** Leave out what has no price. True unless said otherwise. */
  requirePrice?: boolean
  /** True unless said otherwise. */
  caseSensitive?: boolean
}

/** What there is to run on, and whether a task can run there. */
export const createInfra = (transport: Transport, calls: Calls) => ({
  /** Looks at the server's credentials again: what each cloud is good for (`compute`, `storage`), by workspace. */
  check(query: { clouds?: readonly string[]; verbose?: boolean; workspace?: string } & CallOptions = {}) {
    const { clouds, verbose, workspace, ...options } = query
    const body = { clouds: clouds ?? null, verbose: verbose ?? false, workspace: workspace ?? null }
    return calls.ask('check', { path: '/check', body }, options)
  },

  /** The clouds that the last check found usable. `expand` names their contexts and regions too. */
  enabledClouds(query: { workspace?: string; expand?: boolean } & CallOptions = {}): Promise<string[]> {
    const { workspace, expand, ...options } = query
    const search = new URLSearchParams(workspace === undefined ? {} : { workspace })
    if (expand !== undefined) search.set('expand', String(expand))
    const path = search.size > 0 ? `/enabled_clouds?${search}` : '/enabled_clouds'
    return calls.ask('enabled_clouds', { path }, options)
  },

  /** Machines with accelerators and what they cost, by accelerator. */
  listAccelerators(query: OfferQuery = {}) {
    const body = {
      ...acceleratorBody(query),
      all_regions: query.allRegions ?? false,
      require_price: query.requirePrice ?? true,
      case_sensitive: query.caseSensitive ?? true,
    }
    return calls.ask('list_accelerators', { path: '/list_accelerators', body }, query)
  },

  /** How many of each accelerator a machine can have. */
  listAcceleratorCounts(query: AcceleratorQuery = {}): Promise<Map<string, number[]>> {
    const body = acceleratorBody(query)
    return calls.ask('list_accelerator_counts', { path: '/list_accelerator_counts', body }, query)
  },

  /**
   * Looks for the best machines for a task, which the request's log then names.
   * @throws SkyPilotError `rejected` from its result when there are none
   */
  optimize({ task, minimize, ...options }: { task: TaskInput; minimize?: 'cost' | 'time' } & CallOptions) {
    const body = { dag: taskText(task), request_options: null, minimize: minimize === 'time' ? 1 : 0 }
    return calls.begin('optimize', { path: '/optimize', body }, options)
  },

  /**
   * Lets the server read a task without running it.
   * @throws SkyPilotError `rejected` with what is wrong with it
   */
  async validate({ task, signal, timeoutMs }: { task: TaskInput } & CallOptions): Promise<void> {
    const body = { dag: taskText(task), request_options: null }
    const limits = { signal, ...(timeoutMs === undefined ? {} : { timeoutMs }) }
    const answer = await transport.send({ method: 'POST', path: '/validate', body, ...limits })
    if (answer.status !== 200) throw fromStatus(answer)
  },
})

const acceleratorBody = (query: AcceleratorQuery) => ({
  gpus_only: query.gpusOnly ?? true,
  name_filter: query.name ?? null,
  region_filter: query.region ?? null,
  quantity_filter: query.quantity ?? null,
  clouds: query.clouds ?? null,
})
