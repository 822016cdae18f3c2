import { createWriteStream, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { appendFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Hono } from 'hono'
import { z } from 'zod'
import { type Env, Invalid, type Parts } from './exchange.ts'
import { blobFolder } from './files.ts'
import { Locks } from './locks.ts'
import { unzip } from './zip.ts'

const CHUNK_MAX_BYTES = 95_000_000
const Chunk = z.object({
  user_hash: z.string().regex(/^[\w.-]{1,128}$/),
  upload_id: z.string().regex(/^[0-9a-fA-F]{1,128}$/),
  chunk_index: z.coerce.number().int().min(0).max(9_999),
  total_chunks: z.coerce.number().int().min(1).max(10_000),
})

/** Uploads: archives in chunks, that come in any order, and are unpacked when the last is there. */
export function uploadRoutes(app: Hono<Env>, { home }: Pick<Parts, 'home'>): void {
  const locks = new Locks()
  app.get('/upload_v2/blob', (c) => {
    const query = Chunk.pick({ user_hash: true })
      .extend({ blob_id: Chunk.shape.upload_id })
      .safeParse(c.req.query())
    if (!query.success) throw new Invalid(query.error.issues)
    return c.json({ exists: existsSync(blobFolder(home, query.data.user_hash, query.data.blob_id)) })
  })
  app.post('/upload_v2', async (c) => {
    const query = Chunk.safeParse(c.req.query())
    if (!query.success) throw new Invalid(query.error.issues)
    const { user_hash: user, upload_id: blobId, chunk_index: index, total_chunks: total } = query.data
    const target = blobFolder(home, user, blobId)
    const parts = `${target}.parts`
    mkdirSync(parts, { recursive: true })
    const body = c.req.raw.body
    if (body === null)
      throw new Invalid([{ type: 'missing', loc: ['body'], msg: 'Field required', input: null }])
    const part = join(parts, `${index}.part`)
    try {
      await pipeline(Readable.from(body), limited(CHUNK_MAX_BYTES), createWriteStream(`${part}.new`))
    } catch (error) {
      rmSync(`${part}.new`, { force: true })
      if (error instanceof TooLarge) return c.json({ detail: 'The chunk is too large' }, 413)
      throw error
    }
    return locks.hold(
      target,
      (turn) => turn,
      async () => {
        if (existsSync(target)) return c.json({ status: 'completed', missing_chunks: null })
        renameSync(`${part}.new`, part)
        const there = new Set(readdirSync(parts))
        const missing = Array.from({ length: total }, (_, at) => at).filter((at) => !there.has(`${at}.part`))
        if (missing.length > 0)
          return c.json({ status: 'uploading', missing_chunks: missing.map((at) => String(at)) })
        await finish(parts, total, target)
        return c.json({ status: 'completed', missing_chunks: null })
      },
    )
  })
}

/** Puts the chunks together and unpacks them: all of it is there, or nothing. */
async function finish(parts: string, total: number, target: string): Promise<void> {
  const archive = join(parts, 'archive.zip')
  rmSync(archive, { force: true })
  for (let at = 0; at < total; at += 1) await appendFile(archive, await readFile(join(parts, `${at}.part`)))
  rmSync(`${target}.new`, { recursive: true, force: true })
  mkdirSync(`${target}.new`, { recursive: true })
  await unzip(archive, `${target}.new`)
  renameSync(`${target}.new`, target)
  rmSync(parts, { recursive: true, force: true })
}

class TooLarge extends Error {}

function limited(bytes: number): Transform {
  let left = bytes
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      left -= chunk.length
      if (left < 0) done(new TooLarge('too large'))
      else done(null, chunk)
    },
  })
}
