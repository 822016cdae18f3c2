import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { LogFile } from './log-file.ts'
import { logOf, pidOf } from './node-process.ts'

const POLL_MS = 100

/** A control line must come at least so often, so that nobody takes a quiet job for a broken line. */
const HEARTBEAT_MS = 30_000
const HEARTBEAT = '<sky-payload>"<heartbeat></heartbeat>"</sky-payload>\n'

export interface Tail {
  follow: boolean
  /** The last so many lines of each node; all of them for a null. */
  tail: number | null
  signal: AbortSignal
}

/** What has a log: a managed job, a job of a cluster, a replica. It is asked anew each time, for it goes on. */
export interface Tailed {
  name: string
  numNodes: number
  /** Where a node's files are now. */
  folder: (rank: number) => string
  isWaiting: () => boolean
  isOver: () => boolean
  /** What there is to say of one that ended before it began. */
  neverBegan: () => string
  /** What there is to say at its end. */
  lastWords: () => string
}

/** A log as SkyPilot streams it: its own words first, each node's lines with their origin, then the end. */
export async function* tailLog(job: Tailed, options: Tail): AsyncIterable<string> {
  if (options.follow) yield* waitForProcess(job, options.signal)
  if (options.signal.aborted) return
  const hasBegun = existsSync(logOf(job.folder(0)))
  if (!hasBegun && job.isOver()) {
    yield job.neverBegan()
    return
  }
  if (options.tail === null)
    yield `├── Waiting for task resources on ${job.numNodes} node${job.numNodes === 1 ? '' : 's'}.\n`
  if (!hasBegun) return
  if (options.tail === null)
    yield '└── Job started. Streaming logs... (Ctrl-C to exit log streaming; job will not be killed)\n'
  yield* tailNodes(job, options)
  if (!options.signal.aborted && job.isOver()) yield job.lastWords()
}

async function* waitForProcess(job: Tailed, signal: AbortSignal): AsyncIterable<string> {
  const beat = new Heart()
  while (!signal.aborted && (job.isWaiting() || (!job.isOver() && !existsSync(logOf(job.folder(0)))))) {
    yield* beat.whenDue()
    await pause(signal)
  }
}

async function* tailNodes(job: Tailed, options: Tail): AsyncIterable<string> {
  const { follow, tail, signal } = options
  let nodes = nodesOf(job)
  if (tail !== null) for (const { file } of nodes) await file.toLast(tail)
  const beat = new Heart()
  for (;;) {
    // Looked at before reading: what was written until the end is read once more after it.
    const isLast = !follow || job.isOver()
    const isMoved = nodes.some(({ folder }, rank) => folder !== job.folder(rank))
    for (const { file, origin } of nodes) {
      for await (const lines of file.added(isLast || isMoved)) {
        const prefix = origin()
        yield lines.map((line) => `${prefix}${line}\n`).join('')
        beat.rest()
        if (signal.aborted) return
      }
    }
    // It was begun again somewhere else.
    if (isMoved) nodes = nodesOf(job)
    else if (isLast) return
    yield* beat.whenDue()
    await pause(signal)
    if (signal.aborted) return
  }
}

function nodesOf(job: Tailed) {
  return Array.from({ length: job.numNodes }, (_, rank) => {
    const folder = job.folder(rank)
    const origin = () => originOf(job, rank, pidOf(folder) ?? 0)
    return { folder, file: new LogFile(logOf(folder)), origin }
  })
}

class Heart {
  #atMs = performance.now() + HEARTBEAT_MS

  /** Something else was said. */
  rest(): void {
    this.#atMs = performance.now() + HEARTBEAT_MS
  }

  *whenDue(): Iterable<string> {
    if (performance.now() < this.#atMs) return
    this.rest()
    yield HEARTBEAT
  }
}

function originOf({ name, numNodes }: Tailed, rank: number, pid: number): string {
  if (numNodes === 1) return `(${name}, pid=${pid}) `
  return rank === 0
    ? `(head, rank=0, pid=${pid}) `
    : `(worker${rank}, rank=${rank}, pid=${pid}, ip=127.0.0.1) `
}

const pause = (signal: AbortSignal): Promise<void> =>
  sleep(POLL_MS, undefined, { signal }).catch(() => undefined)
