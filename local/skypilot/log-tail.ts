import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Jobs, taskOf } from './jobs.ts'
import { pidOf } from './node-process.ts'
import type { JobRow, State } from './state.ts'

const POLL_MS = 100
const CHUNK_BYTES = 64 * 1024

/** A control line must come at least so often, so that nobody takes a quiet job for a broken line. */
const HEARTBEAT_MS = 30_000
const HEARTBEAT = '<sky-payload>"<heartbeat></heartbeat>"</sky-payload>\n'

export interface Tail {
  follow: boolean
  /** The last so many lines of each node; all of them for a null. */
  tail: number | null
  signal: AbortSignal
}

/** The log of a job as SkyPilot streams it: its own words first, then each node's lines with their origin, then the end. */
export async function* tailJob(
  state: State,
  jobs: Jobs,
  jobId: number,
  options: Tail,
): AsyncIterable<string> {
  const waiting = waitForStart(state, jobId, options)
  for await (const line of waiting) yield line
  const job = state.job(jobId)
  if (!job || (job.start_at === null && job.end_at === null)) return
  yield '├── Waiting for task resources on 1 node.\n'
  yield '└── Job started. Streaming logs... (Ctrl-C to exit log streaming; job will not be killed)\n'
  yield* tailNodes(state, jobs, job, options)
  const last = state.job(jobId)
  if (last && last.end_at !== null) yield `✓ Job finished (status: ${last.status}).\n`
}

async function* waitForStart(state: State, jobId: number, { follow, signal }: Tail): AsyncIterable<string> {
  let beatAtMs = 0
  for (;;) {
    const job = state.job(jobId)
    if (!job || job.end_at !== null || job.start_at !== null || !follow || signal.aborted) return
    if (Date.now() >= beatAtMs) {
      beatAtMs = Date.now() + HEARTBEAT_MS
      yield HEARTBEAT
    }
    await pause(signal)
  }
}

async function* tailNodes(state: State, jobs: Jobs, job: JobRow, options: Tail): AsyncIterable<string> {
  const { numNodes } = taskOf(job)
  const nodes = Array.from({ length: numNodes }, (_, rank) => {
    const folder = jobs.folder(job.job_id, rank)
    return { path: join(folder, 'output.log'), folder, rank, offset: 0, rest: '' }
  })
  if (options.tail !== null)
    for (const node of nodes) node.offset = await startOfTail(node.path, options.tail)
  let beatAtMs = Date.now() + HEARTBEAT_MS
  while (!options.signal.aborted) {
    // Looked at before reading: what was written until the end is read once more after it.
    const isOver = state.job(job.job_id)?.end_at !== null
    let wrote = false
    for (const node of nodes) {
      const prefix = originOf(job, numNodes, node.rank, pidOf(node.folder))
      for await (const line of newLines(node, isOver)) {
        wrote = true
        yield `${prefix}${line}\n`
      }
    }
    if (isOver || !options.follow) return
    if (!wrote && Date.now() >= beatAtMs) yield HEARTBEAT
    if (Date.now() >= beatAtMs) beatAtMs = Date.now() + HEARTBEAT_MS
    await pause(options.signal)
  }
}

function originOf(job: JobRow, numNodes: number, rank: number, pid: number | undefined): string {
  if (numNodes === 1) return `(${job.name}, pid=${pid ?? 0}) `
  return rank === 0
    ? `(head, rank=0, pid=${pid ?? 0}) `
    : `(worker${rank}, rank=${rank}, pid=${pid ?? 0}, ip=127.0.0.1) `
}

interface Reading {
  path: string
  offset: number
  rest: string
}

/** Reads what was added since the last time, in pieces: a log may be far larger than our memory. */
async function* newLines(reading: Reading, isLast: boolean): AsyncIterable<string> {
  const file = await open(reading.path, 'r').catch(() => undefined)
  if (!file) return
  try {
    const buffer = Buffer.alloc(CHUNK_BYTES)
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, reading.offset)
      if (bytesRead === 0) break
      const end = endOfCharacters(buffer, bytesRead)
      reading.offset += end
      const lines = (reading.rest + buffer.toString('utf8', 0, end)).split('\n')
      reading.rest = lines.pop() ?? ''
      yield* lines
    }
  } finally {
    await file.close()
  }
  if (isLast && reading.rest !== '') {
    yield reading.rest
    reading.rest = ''
  }
}

/** Where the last whole character of a piece ends: UTF-8 marks the bytes that continue one. */
function endOfCharacters(buffer: Buffer, length: number): number {
  let end = length
  while (end > 0 && length - end < 3 && ((buffer[end - 1] ?? 0) & 0b1100_0000) === 0b1000_0000) end -= 1
  const lead = buffer[end - 1] ?? 0
  const needed = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1
  return length - (end - 1) >= needed ? length : end - 1
}

/** The offset of the last `count` lines, found by reading backwards. */
async function startOfTail(path: string, count: number): Promise<number> {
  const file = await open(path, 'r').catch(() => undefined)
  if (!file) return 0
  try {
    const buffer = Buffer.alloc(CHUNK_BYTES)
    let { size: end } = await file.stat()
    let newlines = 0
    while (end > 0) {
      const start = Math.max(0, end - CHUNK_BYTES)
      const { bytesRead } = await file.read(buffer, 0, end - start, start)
      for (let at = bytesRead - 1; at >= 0; at -= 1) {
        if (buffer[at] !== 10) continue
        newlines += 1
        // The newline that ends the last line belongs to it.
        if (newlines > count) return start + at + 1
      }
      end = start
    }
    return 0
  } finally {
    await file.close()
  }
}

const pause = (signal: AbortSignal): Promise<void> =>
  sleep(POLL_MS, undefined, { signal }).catch(() => undefined)
