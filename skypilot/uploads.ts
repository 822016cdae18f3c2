import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { fromStatus, parse } from './answers.ts'
import { SkyPilotError } from './errors.ts'
import { localPaths } from './local-paths.ts'
import { entriesOf } from './packing.ts'
import type { CallOptions } from './requests.ts'
import { type TaskInput, taskText } from './task-text.ts'
import type { Transport } from './transport.ts'
import { writeZip } from './zip-writer.ts'

/** Well below the 95 MB that the server takes at once: a piece is held in memory. */
const CHUNK_BYTES = 16 * 1024 * 1024
const CHUNK_TRIES = 3
const CHUNK_PAUSE_MS = 1_000
const CHUNK_TIMEOUT_MS = 180_000

const Exists = z.object({ exists: z.boolean() })
const Uploaded = z.object({ status: z.enum(['uploading', 'completed']) })

export interface UploadMounts extends Pick<CallOptions, 'signal'> {
  task: TaskInput
  /** What relative paths start from: the folder of this process, unless said otherwise. */
  folder?: string
  /** Leave file mounts alone: `exec` takes only the workdir along. */
  workdirOnly?: boolean
}

/** A task whose local paths name what was uploaded. Both parts belong into the launch. */
export interface UploadedMounts {
  task: string
  /** Null for a task that needs nothing of this machine. The server forgets unused ones after an hour. */
  fileMountsBlobId: string | null
}

/**
 * Brings the workdir and the local file mounts of a task to the server. What a `.skyignore`, or without one git, leaves
 * out of a folder stays behind. Safe to repeat: what the server has is not sent again.
 * @throws InvalidError for a task that is not YAML, a path that does not exist, a link that points out of its folder, or more than 4 GiB
 */
export async function uploadMounts(
  transport: Transport,
  { task: given, folder, workdirOnly, signal }: UploadMounts,
): Promise<UploadedMounts> {
  const original = taskText(given)
  const { task, paths } = localPaths(original, folder ?? '.', workdirOnly ?? false)
  if (paths.length === 0) return { task: original, fileMountsBlobId: null }
  const temporary = await mkdtemp(join(tmpdir(), 'skypilot-'))
  try {
    const path = join(temporary, 'mounts.zip')
    const blobId = await writeZip(path, await entriesOf(paths))
    await send(transport, path, blobId, signal)
    return { task, fileMountsBlobId: blobId }
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
}

async function send(
  transport: Transport,
  path: string,
  blobId: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const file = await open(path, 'r')
  try {
    const { size } = await file.stat()
    const user = { user_hash: transport.user.id }
    const known = new URLSearchParams({ ...user, blob_id: blobId, size_bytes: String(size) })
    const answer = await transport.send({ method: 'GET', path: `/upload_v2/blob?${known}`, signal })
    // An older server has no such place; then its version says more than the 404.
    if (answer.status === 404) await transport.requires('uploads', { signal })
    if (answer.status !== 200) throw fromStatus(answer)
    if (parse(Exists, answer.text).exists) return
    const total = Math.ceil(size / CHUNK_BYTES)
    let isComplete = false
    for (let index = 0; index < total; index++) {
      const search = new URLSearchParams({
        ...user,
        upload_id: blobId,
        chunk_index: String(index),
        total_chunks: String(total),
      })
      const bytes = await chunkOf(file, index * CHUNK_BYTES, size)
      isComplete = await sendChunk(transport, `/upload_v2?${search}`, bytes, signal)
    }
    if (!isComplete)
      throw new SkyPilotError('protocol', 'the server has all pieces and says some are missing')
  } finally {
    await file.close()
  }
}

async function chunkOf(file: FileHandle, start: number, size: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(Math.min(CHUNK_BYTES, size - start))
  await file.read(bytes, 0, bytes.length, start)
  return bytes
}

/** Sending the same piece twice changes nothing, so that a server that is busy for a moment is asked again. */
async function sendChunk(
  transport: Transport,
  path: string,
  bytes: Uint8Array<ArrayBuffer>,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  for (let tries = 1; ; tries++) {
    try {
      const answer = await transport.send({
        method: 'POST',
        path,
        bytes,
        signal,
        timeoutMs: CHUNK_TIMEOUT_MS,
      })
      if (answer.status !== 200) throw fromStatus(answer)
      return parse(Uploaded, answer.text).status === 'completed'
    } catch (error) {
      const mayPass = error instanceof SkyPilotError && ['unreachable', 'timeout'].includes(error.kind)
      if (!mayPass || tries === CHUNK_TRIES) throw error
      await sleep(CHUNK_PAUSE_MS, undefined, signal ? { signal } : {})
    }
  }
}
