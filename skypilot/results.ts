import { z } from 'zod'
import {
  ClusterEvent,
  ClusterJobRecord,
  ClusterRecord,
  CostRecord,
  ManagedJobEvent,
  ManagedJobRecord,
  QueuePage,
  rows,
} from './schemas.ts'
import { ServiceRecord } from './serve-schemas.ts'

/** A page of the managed queue. */
export interface Queue {
  jobs: ManagedJobRecord[]
  /** Jobs that the filters let through, on all pages. */
  total: number
  totalNoFilter: number
  /** How many of them have which status. */
  statusCounts: Record<string, number>
  /** Rows that could not be read. While there are any, absence proves nothing. */
  unreadable: number
}

/** The jobs of a cluster, newest first. */
export interface ClusterQueue {
  jobs: ClusterJobRecord[]
  /** Rows that could not be read. While there are any, absence proves nothing. */
  unreadable: number
}

/** Clusters as the server last saw them. */
export interface ClusterList {
  clusters: ClusterRecord[]
  /** Rows that could not be read. While there are any, absence proves nothing. */
  unreadable: number
}

/** A kind of machine that has an accelerator. */
export interface AcceleratorOffer {
  cloud: string
  instanceType: string | null
  accelerator: string
  /** Accelerators in a machine; fractions of one occur. */
  count: number
  cpus: number | null
  deviceMemoryGiB: number | null
  memoryGiB: number | null
  /** US dollars an hour; null where the catalogue does not say. */
  price: number | null
  spotPrice: number | null
  region: string | null
}

/** What each kind of request gives back. A kind is the request's name in the server's table, without `sky.`. */
export interface Results {
  launch: { jobId: number | null }
  exec: { jobId: number | null }
  start: undefined
  stop: undefined
  down: undefined
  autostop: undefined
  status: ClusterList
  endpoints: Map<number, string>
  cluster_events: ClusterEvent[]
  cost_report: CostRecord[]
  queue: ClusterQueue
  job_status: Map<number, string | null>
  cancel: undefined
  /** The exit code of a log: 0 succeeded, 100 failed, 101 not finished, 102 not found, 103 cancelled. */
  logs: number | null
  'jobs.logs': number | null
  'serve.logs': number | null
  download_logs: Map<number, string>
  check: Record<string, Record<string, string[]>>
  enabled_clouds: string[]
  list_accelerators: Map<string, AcceleratorOffer[]>
  list_accelerator_counts: Map<string, number[]>
  optimize: undefined
  'jobs.launch': { jobIds: number[] }
  'jobs.queue_v2': Queue
  'jobs.cancel': undefined
  'jobs.events': ManagedJobEvent[]
  'jobs.wait': number | null
  'jobs.download_logs': Map<number, string>
  'serve.up': { name: string; endpoint: string }
  'serve.update': undefined
  'serve.down': undefined
  'serve.terminate_replica': undefined
  'serve.status': ServiceRecord[]
  'serve.sync_down_logs': string
}

export type RequestKind = keyof Results
export type ResultOf<K extends RequestKind> = Results[K]

const nothing = z.unknown().transform(() => undefined)
const jobId = z.int().positive()
/** Null is what SkyPilot answers where it could not write down the answer: the work is done all the same. */
const submitted = z
  .object({ job_id: jobId.nullish() })
  .nullable()
  .transform((answer) => ({ jobId: answer?.job_id ?? null }))
const exitCode = z.int().nullable()
const list = z.array(z.unknown())

/** An object whose keys are numbers, which JSON cannot have. */
const byNumber = <T>(value: z.ZodType<T>) =>
  z
    .record(z.string().regex(/^\d+$/), value)
    .transform((entries) => new Map(Object.entries(entries).map(([key, each]) => [Number(key), each])))

/** Records by name. */
const byName = <T>(value: z.ZodType<T>) =>
  z.record(z.string(), value).transform((entries) => new Map(Object.entries(entries)))

const figure = z.number().nullable()
const offer = z
  .tuple([
    z.string(),
    z.string().nullable(),
    z.string(),
    z.number(),
    figure,
    figure,
    figure,
    figure,
    figure,
    z.string().nullable(),
  ])
  .transform(
    ([
      cloud,
      instanceType,
      accelerator,
      count,
      cpus,
      deviceMemoryGiB,
      memoryGiB,
      price,
      spotPrice,
      region,
    ]) => ({
      cloud,
      instanceType,
      accelerator,
      count,
      cpus,
      deviceMemoryGiB,
      memoryGiB,
      price,
      spotPrice,
      region,
    }),
  )

const queuePage = QueuePage.transform((page) => {
  const { read, unreadable } = rows(ManagedJobRecord, page.jobs)
  const { total, total_no_filter: totalNoFilter } = page
  return { jobs: read, total, totalNoFilter, statusCounts: page.status_counts ?? {}, unreadable }
})

const launchedJobs = z
  .object({ job_id: z.union([z.array(jobId), jobId, z.null()]) })
  .nullable()
  .transform((answer) => ({ jobIds: answer?.job_id == null ? [] : [answer.job_id].flat() }))

/** How each kind of answer is read. Whatever it holds of pickled Python is passed over, never looked into. */
export const RESULTS: { readonly [K in RequestKind]: z.ZodType<Results[K]> } = {
  launch: submitted,
  exec: submitted,
  start: nothing,
  stop: nothing,
  down: nothing,
  autostop: nothing,
  status: list.transform((values) => {
    const { read, unreadable } = rows(ClusterRecord, values)
    return { clusters: read, unreadable }
  }),
  endpoints: byNumber(z.string()),
  cluster_events: z.array(ClusterEvent),
  cost_report: z.array(CostRecord),
  queue: list.transform((values) => {
    const { read, unreadable } = rows(ClusterJobRecord, values)
    return { jobs: read, unreadable }
  }),
  job_status: byNumber(z.string().nullable()),
  cancel: nothing,
  logs: exitCode,
  'jobs.logs': exitCode,
  'serve.logs': exitCode,
  download_logs: byNumber(z.string()),
  check: z.record(z.string(), z.record(z.string(), z.array(z.string()))),
  enabled_clouds: z.array(z.string()),
  list_accelerators: byName(z.array(offer)),
  list_accelerator_counts: byName(z.array(z.number())),
  optimize: nothing,
  'jobs.launch': launchedJobs,
  'jobs.queue_v2': queuePage,
  'jobs.cancel': nothing,
  'jobs.events': z.array(ManagedJobEvent),
  'jobs.wait': exitCode,
  'jobs.download_logs': byNumber(z.string()),
  'serve.up': z.tuple([z.string(), z.string()]).transform(([name, endpoint]) => ({ name, endpoint })),
  'serve.update': nothing,
  'serve.down': nothing,
  'serve.terminate_replica': nothing,
  'serve.status': z.array(ServiceRecord),
  'serve.sync_down_logs': z.string(),
}
