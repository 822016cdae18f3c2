import { randomUUID } from 'node:crypto'

/** A request that fails the way SkyPilot's own do: with the name of an exception and its text. */
export class RequestFailure extends Error {
  readonly type: string

  constructor(type: string, message: string) {
    super(message)
    this.type = type
  }
}

type Status = 'PENDING' | 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'CANCELLED'

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
  status_msg: null
  should_retry: boolean
  finished_at: number | null
  file_mounts_blob_id: null
}

interface Entry {
  record: RequestRecord
  done: PromiseWithResolvers<void>
  log: string[]
  isRead: boolean
}

export interface Submission {
  name: string
  body: Record<string, unknown>
  user: { id: string; name: string }
  clusterName: string | null
  /** Wait so long before the effect. A request can be cancelled until then. */
  holdMs: number
  work: (say: (line: string) => void) => unknown
  /** Only looks. Its result may be large and is forgotten sooner. */
  isRead?: boolean
}

const KEPT_MAX = 5_000
const READS_KEPT_MAX = 500
const READS_CHARS_MAX = 32 * 1024 * 1024

/** The request table. Like the real one it is forgotten at every start, and that says nothing about the work. */
export class RequestTable {
  readonly #entries = new Map<string, Entry>()

  /** Takes a piece of work in and returns its id at once. */
  submit(given: Submission): string {
    const id = randomUUID()
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
      schedule_type: 'short',
      user_name: given.user.name,
      cluster_name: given.clusterName,
      status_msg: null,
      should_retry: false,
      finished_at: null,
      file_mounts_blob_id: null,
    }
    const entry: Entry = { record, done: Promise.withResolvers(), log: [], isRead: given.isRead ?? false }
    this.#entries.set(id, entry)
    this.#forgetOldest()
    setTimeout(() => void this.#run(entry, given), given.holdMs)
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
    const gone = Promise.withResolvers<void>()
    signal.addEventListener('abort', () => gone.resolve(), { once: true })
    await Promise.race([entry.done.promise, gone.promise])
  }

  /** Newest first. */
  list(): RequestRecord[] {
    return [...this.#entries.values()].map(({ record }) => record).toReversed()
  }

  logOf(id: string): readonly string[] {
    return this.#entries.get(id)?.log ?? []
  }

  /** Cancels what has not ended, and says which those were. What was done so far stays done. */
  cancel(ids: readonly string[]): string[] {
    return ids.flatMap((id) => {
      const entry = this.#entries.get(id)
      if (!entry || isOver(entry.record)) return []
      this.#end(entry, 'CANCELLED')
      return [id]
    })
  }

  async #run(entry: Entry, given: Submission): Promise<void> {
    if (isOver(entry.record)) return
    entry.record.status = 'RUNNING'
    try {
      const value = (await given.work((line) => entry.log.push(line))) ?? null
      // A cancelled request has no result, whatever it did.
      if (isOver(entry.record)) return
      entry.record.return_value = JSON.stringify(value)
      this.#end(entry, 'SUCCEEDED')
    } catch (error) {
      if (isOver(entry.record)) return
      const type = error instanceof RequestFailure ? error.type : 'RuntimeError'
      const message = error instanceof Error ? error.message : String(error)
      entry.record.error = JSON.stringify({ object: '', type, message })
      this.#end(entry, 'FAILED')
    }
  }

  #end(entry: Entry, status: Status): void {
    entry.record.status = status
    entry.record.finished_at = Date.now() / 1_000
    entry.done.resolve()
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

const isOver = ({ status }: RequestRecord): boolean => !['PENDING', 'RUNNING'].includes(status)
