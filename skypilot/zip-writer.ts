import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { crc32, createDeflateRaw } from 'node:zlib'
import { InvalidError } from './errors.ts'

/** Something to pack. Names are paths with `/`; those of folders end in one. */
export type ZipEntry =
  | { kind: 'file'; name: string; path: string; mode: number }
  | { kind: 'folder'; name: string; mode: number }
  | { kind: 'link'; name: string; target: string }

interface Packed {
  name: Buffer
  method: number
  crc: number
  packedBytes: number
  bytes: number
  attributes: number
  offset: number
}

const BYTES_MAX = 0xff_ff_ff_ff
const ENTRIES_MAX = 0xff_ff
const DEFLATED = 8
const STORED = 0
/** Names are UTF-8. */
const FLAGS = 1 << 11
const SYMLINK_MODE = 0o120_755
/** 1980-01-01: the zip of the same files is the same file. */
const DOS_DATE = 0x21

/**
 * Packs entries into a new zip file, reading one file at a time, and returns the id that SkyPilot knows such a blob by:
 * a hash of names and contents.
 * @throws InvalidError for more than 65,535 entries or 4 GiB, which take another kind of zip
 */
export async function writeZip(path: string, entries: readonly ZipEntry[]): Promise<string> {
  if (entries.length > ENTRIES_MAX) throw new InvalidError(`more than ${ENTRIES_MAX} files to upload`)
  const zip = await open(path, 'wx')
  try {
    const packed: Packed[] = []
    const digests: Array<{ name: Buffer; digest: Buffer }> = []
    let offset = 0
    for (const entry of entries) {
      const { digest, ...each } = await pack(zip, entry, offset)
      packed.push(each)
      digests.push({ name: each.name, digest })
      offset += 30 + each.name.length + each.packedBytes
      if (offset > BYTES_MAX)
        throw new InvalidError('more than 4 GiB to upload: mount a bucket for so much data')
    }
    await writeAt(zip, directoryOf(packed, offset), offset)
    return blobIdOf(digests)
  } finally {
    await zip.close()
  }
}

function blobIdOf(digests: Array<{ name: Buffer; digest: Buffer }>): string {
  const all = createHash('sha256')
  for (const { name, digest } of digests.sort((a, b) => a.name.compare(b.name)))
    all.update(name).update(digest)
  return all.digest('hex')
}

async function pack(zip: FileHandle, entry: ZipEntry, offset: number): Promise<Packed & { digest: Buffer }> {
  const name = Buffer.from(entry.name)
  const dataAt = offset + 30 + name.length
  const content =
    entry.kind === 'file' ? await deflate(zip, entry.path, dataAt) : await store(zip, entry, dataAt)
  const packed = { name, offset, attributes: (modeOf(entry) << 16) >>> 0, ...content }
  const header = Buffer.alloc(30)
  header.writeUInt32LE(0x04_03_4b_50, 0)
  common(packed).copy(header, 4)
  await writeAt(zip, Buffer.concat([header, name]), offset)
  return packed
}

/** A disk may take less than it is given at once. */
async function writeAt(zip: FileHandle, data: Buffer, position: number): Promise<void> {
  for (let done = 0; done < data.length;) {
    const { bytesWritten } = await zip.write(data, done, data.length - done, position + done)
    done += bytesWritten
  }
}

const modeOf = (entry: ZipEntry): number => (entry.kind === 'link' ? SYMLINK_MODE : entry.mode)

type Content = Pick<Packed, 'method' | 'crc' | 'packedBytes' | 'bytes'> & { digest: Buffer }

/** Reads and packs in one go, so that a file which grows meanwhile has the length that was packed. */
async function deflate(zip: FileHandle, path: string, at: number): Promise<Content> {
  const hash = createHash('sha256')
  const content = { method: DEFLATED, crc: 0, packedBytes: 0, bytes: 0 }
  await pipeline(
    createReadStream(path),
    async function* (source: AsyncIterable<Buffer>) {
      for await (const chunk of source) {
        content.crc = crc32(chunk, content.crc)
        content.bytes += chunk.length
        hash.update(chunk)
        yield chunk
      }
    },
    createDeflateRaw(),
    async (source: AsyncIterable<Buffer>) => {
      for await (const chunk of source) {
        await writeAt(zip, chunk, at + content.packedBytes)
        content.packedBytes += chunk.length
      }
    },
  )
  if (content.bytes > BYTES_MAX) throw new InvalidError(`${path} is larger than 4 GiB: mount a bucket for it`)
  return { ...content, digest: hash.digest() }
}

/** The content of a link is where it points; a folder has none. */
async function store(zip: FileHandle, entry: ZipEntry, at: number): Promise<Content> {
  const data = Buffer.from(entry.kind === 'link' ? entry.target : '')
  await writeAt(zip, data, at)
  const digest = createHash('sha256').update(data).digest()
  return { method: STORED, crc: crc32(data), packedBytes: data.length, bytes: data.length, digest }
}

/** What the header in front of an entry and its line in the directory both say. */
function common(entry: Packed): Buffer {
  const fields = Buffer.alloc(26)
  fields.writeUInt16LE(20, 0)
  fields.writeUInt16LE(FLAGS, 2)
  fields.writeUInt16LE(entry.method, 4)
  fields.writeUInt16LE(0, 6)
  fields.writeUInt16LE(DOS_DATE, 8)
  fields.writeUInt32LE(entry.crc, 10)
  fields.writeUInt32LE(entry.packedBytes, 14)
  fields.writeUInt32LE(entry.bytes, 18)
  fields.writeUInt16LE(entry.name.length, 22)
  return fields
}

function directoryOf(packed: readonly Packed[], offset: number): Buffer {
  const lines = packed.flatMap((entry) => {
    const line = Buffer.alloc(46)
    line.writeUInt32LE(0x02_01_4b_50, 0)
    // Made on Unix (3): only so are the mode bits read, which tell a link from a file.
    line.writeUInt16LE((3 << 8) | 20, 4)
    common(entry).copy(line, 6)
    line.writeUInt32LE(entry.attributes, 38)
    line.writeUInt32LE(entry.offset, 42)
    return [line, entry.name]
  })
  const directory = Buffer.concat(lines)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06_05_4b_50, 0)
  end.writeUInt16LE(packed.length, 8)
  end.writeUInt16LE(packed.length, 10)
  end.writeUInt32LE(directory.length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([directory, end])
}
