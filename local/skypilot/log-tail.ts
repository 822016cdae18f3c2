import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Jobs, taskOf } from './jobs.ts'
import { LogFile } from './log-file.ts'
import { logOf, pidOf } from './node-process.ts'
import type { JobRow, State } from './state.ts'

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

/** The log of a job as SkyPilot streams it: its own words first, each node's lines with their origin, then the end. */
export async function* tailJob(
  state: State,
  jobs: Jobs,
  first: JobRow,
  options: Tail,
): AsyncIterable<string> {
  const jobId = first.job_id
  if (options.follow) yield* waitForProcess(state, jobId, options.signal)
  if (options.signal.aborted) return
  const job = state.job(jobId)
  if (!job) return
  const { numNodes } = taskOf(job)
  const hasBegun = existsSync(logOf(jobs.folder(jobId, 0)))
  if (!hasBegun && job.end_at !== null) {
    yield endedBefore(job)
    return
  }
  yield `├── Waiting for task resources on ${numNodes} node${numNodes === 1 ? '' : 's'}.\n`
  if (!hasBegun) return
  yield '└── Job started. Streaming logs... (Ctrl-C to exit log streaming; job will not be killed)\n'
  yield* tailNodes(state, jobs, job, options)
  if (!options.signal.aborted) yield* lastWords(state.job(jobId))
}

const endedBefore = (job: JobRow): string =>
  `Job ${job.job_id} is already in terminal state ${job.status}. For more details, run: sky jobs logs --controller ${job.job_id}\n` +
  (job.failure_reason === null ? '' : `Failure reason: ${job.failure_reason}\n`)

async function* waitForProcess(state: State, jobId: number, signal: AbortSignal): AsyncIterable<string> {
  const beat = new Heart()
  while (!signal.aborted && state.job(jobId)?.status === 'PENDING') {
    yield* beat.whenDue()
    await pause(signal)
  }
}

async function* tailNodes(state: State, jobs: Jobs, job: JobRow, options: Tail): AsyncIterable<string> {
  const { follow, tail, signal } = options
  const { numNodes } = taskOf(job)
  const nodes = Array.from({ length: numNodes }, (_, rank) => {
    const folder = jobs.folder(job.job_id, rank)
    const origin = () => originOf(job, numNodes, rank, pidOf(folder) ?? 0)
    return { file: new LogFile(logOf(folder)), origin }
  })
  if (tail !== null) for (const { file } of nodes) await file.toLast(tail)
  const beat = new Heart()
  for (;;) {
    // Looked at before reading: what was written until the end is read once more after it.
    const isLast = !follow || state.job(job.job_id)?.end_at !== null
    for (const { file, origin } of nodes) {
      for await (const lines of file.added(isLast)) {
        const prefix = origin()
        yield lines.map((line) => `${prefix}${line}\n`).join('')
        beat.rest()
        if (signal.aborted) return
      }
    }
    if (isLast) return
    yield* beat.whenDue()
    await pause(signal)
    if (signal.aborted) return
  }
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

function originOf(job: JobRow, numNodes: number, rank: number, pid: number): string {
  if (numNodes === 1) return `(${job.name}, pid=${pid}) `
  return rank === 0
    ? `(head, rank=0, pid=${pid}) `
    : `(worker${rank}, rank=${rank}, pid=${pid}, ip=127.0.0.1) `
}

function* lastWords(job: JobRow | undefined): Iterable<string> {
  if (!job || job.end_at === null) return
  const code = /exit code (\d+)/.exec(job.failure_reason ?? '')?.[1]
  if (job.status === 'FAILED_SETUP') yield `ERROR: Job ${job.job_id}'s setup failed.\n`
  else if (code !== undefined) yield `ERROR: Job ${job.job_id} failed with return code list: [${code}]\n`
  yield `✓ Job finished (status: ${job.status}).\n`
}

const pause = (signal: AbortSignal): Promise<void> =>
  sleep(POLL_MS, undefined, { signal }).catch(() => undefined)
