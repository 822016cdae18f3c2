import { randomUUID } from 'node:crypto'
import { Lane } from './lane.ts'
import { pickled } from './pickle.ts'

/** A request that fails the way SkyPilot's own do: with the name of an exception and its text. */
export class RequestFailure extends Error {
  readonly type: string

  constructor(type: string, message: string) {
    super(message)
    this.type = type
  }
}

type Status = 'PENDING' | 'RUNNING' | 'WAITING' | 'SUCCEEDED' | 'FAILED' | 'CANCELLED'

/** One entry of the request table, under SkyPilot's own names. Times are seconds since the epoch. */
export interface RequestRecord {
  request_id: string
  name: string
  entrypoint: string
  request_body: string
  status: Status
  created_at: number
  user_id: string
  return_value: string
  error: string
  pid: number | null
  schedule_type: 'short' | 'long'
  user_name: string | null
  cluster_name: string | null
  status_msg: string | null
  should_retry: boolean
  finished_at: number | null
  file_mounts_blob_id: string | null
}

interface Entry {
  record: RequestRecord
  done: PromiseWithResolvers<void>
  cancelled: AbortController
  log: string[]
  /** Called at each line of the log, and at the end. */
  readers: Set<() => void>
  isRead: boolean
}

/** What a piece of work can do with its request. */
export interface Work {
  id: string
  say: (line: string) => void
  /** Aborted when the request is cancelled. */
  signal: AbortSignal
  /** Waits for something without a worker: the request is WAITING, and another may run. */
  wait: (why: string, until: Promise<void>) => Promise<void>
}

export interface Submission {
  name: string
  body: Record<string, unknown>
  user: { id: string; name: string }
  clusterName: string | null
  /** LONG ones run a few at a time. */
  schedule: 'short' | 'long'
  /** Wait so long before the effect. A request can be cancelled until then. */
  holdMs: number
  work: (work: Work) => unknown
  /** Only looks. Its result may be large and is forgotten sooner. */
  isRead?: boolean
}

const KEPT_MAX = 5_000
const READS_KEPT_MAX = 500
const READS_CHARS_MAX = 32 * 1024 * 1024
const LOG_LINES_MAX = 10_000

/** The request table. Like the real one it is forgotten at every start, and that says nothing about the work. */
export class RequestTable {
  readonly #entries = new Map<string, Entry>()
  readonly #long: Lane
  readonly #working = new Set<Promise<void>>()

  /** `longMax` says how many LONG requests run at once. */
  constructor(longMax: () => number) {
    this.#long = new Lane(longMax)
  }

  /** Takes a piece of work in and returns its id at once. */
  submit(given: Submission): string {
    const id = randomUUID()
    const blobId = given.body['file_mounts_blob_id']
    const record: RequestRecord = {
      request_id: id,
      name: given.name,
      entrypoint: given.name.split('.').at(-1) ?? given.name,
      request_body: JSON.stringify(given.body),
      status: 'PENDING',
      created_at: Date.now() / 1_000,
      user_id: given.user.id,
      return_value: 'null',
      error: 'null',
      pid: process.pid,
      schedule_type: given.schedule,
      user_name: given.user.name,
      cluster_name: given.clusterName,
      status_msg: null,
      should_retry: false,
      finished_at: null,
      file_mounts_blob_id: typeof blobId === 'string' ? blobId : null,
    }
    const entry: Entry = {
      record,
      done: Promise.withResolvers(),
      cancelled: new AbortController(),
      log: [],
      readers: new Set(),
      isRead: given.isRead ?? false,
    }
    this.#entries.set(id, entry)
    this.#forgetOldest()
    setTimeout(() => this.#begin(entry, given), given.holdMs)
    return id
  }

  /** Finds a request by its id or the beginning of it. */
  find(idOrPrefix: string): RequestRecord[] {
    const exact = this.#entries.get(idOrPrefix)
    if (exact) return [exact.record]
    if (idOrPrefix === '') return []
    return [...this.#entries.values()]
      .filter(({ record }) => record.request_id.startsWith(idOrPrefix))
      .map(({ record }) => record)
  }

  /** Resolves when the request has ended, or the caller went away. */
  async ended(id: string, signal: AbortSignal): Promise<void> {
    const entry = this.#entries.get(id)
    if (!entry || isOver(entry.record)) return
    await Promise.race([entry.done.promise, aborted(signal)])
  }

  /** Newest first. */
  list(): RequestRecord[] {
    return [...this.#entries.values()].map(({ record }) => record).toReversed()
  }

  /** The request's own log, as it grows, until the request ends. */
  async *log(id: string, follow: boolean, signal: AbortSignal): AsyncIterable<string> {
    const entry = this.#entries.get(id)
    if (!entry) return
    for (let at = 0; ;) {
      const isLast = !follow || isOver(entry.record)
      const lines = entry.log.slice(at)
      at += lines.length
      if (lines.length > 0) yield lines.map((line) => `${line}\n`).join('')
      if (isLast || signal.aborted) return
      // Something may have been said, or it may have ended, while the lines were taken.
      if (entry.log.length === at && !isOver(entry.record)) await this.#nextLine(entry, signal)
    }
  }

  /** Cancels what has not ended, and says which those were. What was done so far stays done. */
  cancel(ids: readonly string[]): string[] {
    return ids.flatMap((id) => {
      const entry = this.#entries.get(id)
      if (!entry || isOver(entry.record)) return []
      this.#end(entry, 'CANCELLED')
      entry.cancelled.abort(new Error('cancelled'))
      return [id]
    })
  }

  /** Cancels what is active for a cluster, but for one request. */
  cancelFor(clusterName: string, exceptId: string): string[] {
    const active = this.list().filter(
      (record) => record.cluster_name === clusterName && record.request_id !== exceptId && !isOver(record),
    )
    return this.cancel(active.map(({ request_id: id }) => id))
  }

  /** Gives up what has not ended; nothing of it writes anything afterwards. */
  async close(): Promise<void> {
    this.cancel([...this.#entries.keys()])
    await Promise.allSettled(this.#working)
  }

  async #nextLine(entry: Entry, signal: AbortSignal): Promise<void> {
    const line = Promise.withResolvers<void>()
    entry.readers.add(line.resolve)
    await Promise.race([line.promise, aborted(signal)])
    entry.readers.delete(line.resolve)
  }

  #begin(entry: Entry, given: Submission): void {
    if (isOver(entry.record)) return
    const working = this.#run(entry, given).finally(() => this.#working.delete(working))
    this.#working.add(working)
  }

  async #run(entry: Entry, given: Submission): Promise<void> {
    const isLong = given.schedule === 'long'
    const { signal } = entry.cancelled
    let hasPlace = false
    const enter = async () => {
      if (isLong) await this.#long.enter(signal)
      hasPlace = isLong
      if (!isOver(entry.record)) entry.record.status = 'RUNNING'
    }
    const leave = () => {
      if (hasPlace) this.#long.leave()
      hasPlace = false
    }
    const wait = async (why: string, until: Promise<void>) => {
      leave()
      if (!isOver(entry.record)) Object.assign(entry.record, { status: 'WAITING', status_msg: why })
      await until
      await enter()
      entry.record.status_msg = null
    }
    try {
      await enter()
      if (isOver(entry.record)) return
      const say = (line: string) => this.#say(entry, line)
      const value = (await given.work({ id: entry.record.request_id, say, signal, wait })) ?? null
      // A cancelled request has no result, whatever it did.
      if (isOver(entry.record)) return
      entry.record.return_value = JSON.stringify(value)
      this.#end(entry, 'SUCCEEDED')
    } catch (error) {
      if (isOver(entry.record)) return
      entry.record.error = JSON.stringify(describeError(error))
      this.#end(entry, 'FAILED')
    } finally {
      leave()
    }
  }

  #say(entry: Entry, line: string): void {
    if (entry.log.length < LOG_LINES_MAX) entry.log.push(line)
    for (const wake of entry.readers) wake()
  }

  #end(entry: Entry, status: Status): void {
    entry.record.status = status
    entry.record.finished_at = Date.now() / 1_000
    entry.done.resolve()
    for (const wake of entry.readers) wake()
  }

  /** The oldest go first. What only looked is soon of no use, and would fill the memory. */
  #forgetOldest(): void {
    const reads = [...this.#entries].filter(([, { isRead }]) => isRead)
    let chars = reads.reduce((sum, [, { record }]) => sum + record.return_value.length, 0)
    let left = reads.length
    for (const [id, { record }] of reads) {
      if (left <= READS_KEPT_MAX && chars <= READS_CHARS_MAX) break
      if (!isOver(record)) continue
      left -= 1
      chars -= record.return_value.length
      this.#entries.delete(id)
    }
    for (const [id, { record }] of this.#entries) {
      if (this.#entries.size <= KEPT_MAX) return
      if (isOver(record)) this.#entries.delete(id)
    }
  }
}

/** Attributes that an exception of SkyPilot cannot do without when its client makes it anew. */
const ATTRIBUTES: Readonly<Record<string, Record<string, null>>> = {
  ClusterNotUpError: { cluster_status: null },
}

function describeError(error: unknown): { object: string; type: string; message: string } {
  const type = error instanceof RequestFailure ? error.type : 'RuntimeError'
  const message = error instanceof Error ? error.message : String(error)
  const object = pickled({
    type,
    message,
    args: [message],
    attributes: ATTRIBUTES[type] ?? {},
    stacktrace: null,
  })
  return { object, type, message }
}

export const isOver = ({ status }: Pick<RequestRecord, 'status'>): boolean =>
  !['PENDING', 'RUNNING', 'WAITING'].includes(status)

function aborted(signal: AbortSignal): Promise<void> {
  const gone = Promise.withResolvers<void>()
  if (signal.aborted) gone.resolve()
  else signal.addEventListener('abort', () => gone.resolve(), { once: true })
  return gone.promise
}
