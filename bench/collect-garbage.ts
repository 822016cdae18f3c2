import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { threadId } from 'node:worker_threads'
import { heapFile } from './heaps.ts'

// Loaded into workers whose memory is measured, and into each of their threads. What a thread could give back at any
// time is no memory of a workflow, but would be taken for it. Each notes what its heap holds then.
const EVERY_MS = 1_000

const folder = new URL(import.meta.url).searchParams.get('folder') ?? ''

setInterval(() => {
  // The kind that also hands pages back to the machine.
  globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' })
  writeFileSync(join(folder, heapFile(process.pid, threadId)), String(process.memoryUsage().heapUsed))
}, EVERY_MS).unref()
