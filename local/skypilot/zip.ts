import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, open, readdir, readFile, symlink } from 'node:fs/promises'
import { dirname, isAbsolute, join, normalize, resolve, sep } from 'node:path'
import { pipeline, type Readable, Transform } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline as piped } from 'node:stream/promises'
import { crc32, createInflateRaw, deflateRawSync } from 'node:zlib'

const END = 0x06_05_4b_50
const CENTRAL = 0x02_01_4b_50
const LOCAL = 0x04_03_4b_50
const END_BYTES = 22
const COMMENT_MAX = 65_535
const STORED = 0
const DEFLATED = 8
const SYMLINK = 0xa
const LINK_MAX_BYTES = 4_096

/** An archive may not grow beyond this when it is unpacked. */
const UNPACKED_MAX_BYTES = 20 * 1024 ** 3

interface Entry {
  name: string
  method: number
  packedBytes: number
  bytes: number
  isLink: boolean
  at: number
}

/**
 * Unpacks an archive into a folder. Names lose a slash at their beginning.
 * @throws Error for an archive that is broken, too large, or wants to write elsewhere
 */
export async function unzip(archive: string, folder: string): Promise<void> {
  const file = await open(archive, 'r')
  try {
    const { size } = await file.stat()
    const tail = Buffer.alloc(Math.min(size, END_BYTES + COMMENT_MAX))
    await file.read(tail, 0, tail.length, size - tail.length)
    const end = tail.lastIndexOf(Buffer.from([0x50, 0x4b, 0x05, 0x06]))
    if (end < 0 || tail.readUInt32LE(end) !== END) throw new Error('not a zip archive')
    const central = Buffer.alloc(tail.readUInt32LE(end + 12))
    await file.read(central, 0, central.length, tail.readUInt32LE(end + 16))
    const entries = entriesOf(central)
    if (entries.reduce((sum, { bytes }) => sum + bytes, 0) > UNPACKED_MAX_BYTES)
      throw new Error('the archive is too large')
    // Links last: nothing is written through one.
    for (const entry of entries.toSorted((a, b) => Number(a.isLink) - Number(b.isLink))) {
      const header = Buffer.alloc(30)
      await file.read(header, 0, 30, entry.at)
      if (header.readUInt32LE(0) !== LOCAL) throw new Error('a broken zip archive')
      const from = entry.at + 30 + header.readUInt16LE(26) + header.readUInt16LE(28)
      const place = placeIn(folder, entry.name)
      if (entry.isLink) await link(archive, entry, from, { place, folder })
      else await unpack(archive, entry, from, place)
    }
  } finally {
    await file.close()
  }
}

function entriesOf(central: Buffer): Entry[] {
  const entries: Entry[] = []
  for (let at = 0; at + 46 <= central.length;) {
    if (central.readUInt32LE(at) !== CENTRAL) throw new Error('a broken zip archive')
    const nameBytes = central.readUInt16LE(at + 28)
    entries.push({
      name: central.toString('utf8', at + 46, at + 46 + nameBytes),
      method: central.readUInt16LE(at + 10),
      packedBytes: central.readUInt32LE(at + 20),
      bytes: central.readUInt32LE(at + 24),
      isLink: central.readUInt32LE(at + 38) >>> 28 === SYMLINK,
      at: central.readUInt32LE(at + 42),
    })
    at += 46 + nameBytes + central.readUInt16LE(at + 30) + central.readUInt16LE(at + 32)
  }
  return entries
}

function placeIn(folder: string, name: string): string {
  const place = resolve(folder, normalize(name).replace(/^\/+/, ''))
  if (place !== resolve(folder) && !place.startsWith(resolve(folder) + sep))
    throw new Error(`Zip member '${name}' would extract outside target directory. Aborted.`)
  return place
}

async function unpack(archive: string, entry: Entry, from: number, place: string): Promise<void> {
  if (entry.name.endsWith('/')) {
    await mkdir(place, { recursive: true })
    return
  }
  await mkdir(dirname(place), { recursive: true })
  if (entry.packedBytes === 0) {
    await (await open(place, 'w')).close()
    return
  }
  await piped(contentOf(archive, entry, from), createWriteStream(place))
}

function contentOf(archive: string, entry: Entry, from: number): Readable {
  if (entry.method !== STORED && entry.method !== DEFLATED) throw new Error('an unknown kind of compression')
  const packed = createReadStream(archive, { start: from, end: from + entry.packedBytes - 1 })
  // What the archive says of its sizes was added up before; it must also keep to it.
  const limited = atMost(entry.bytes)
  const done = (error: NodeJS.ErrnoException | null) => {
    if (error) limited.destroy(error)
  }
  if (entry.method === STORED) pipeline(packed, limited, done)
  else pipeline(packed, createInflateRaw(), limited, done)
  return limited
}

/** Makes a link, if what it points to is in the archive's own folder. */
async function link(
  archive: string,
  entry: Entry,
  from: number,
  { place, folder }: { place: string; folder: string },
): Promise<void> {
  if (entry.bytes > LINK_MAX_BYTES || entry.packedBytes === 0) throw new Error('a broken zip archive')
  const target = await text(contentOf(archive, entry, from))
  const pointed = resolve(dirname(place), target)
  if (isAbsolute(target) || !(pointed + sep).startsWith(resolve(folder) + sep))
    throw new Error(`Symlink target ${target} leads to a file not in userspace. Aborted.`)
  await mkdir(dirname(place), { recursive: true })
  await symlink(target, place)
}

function atMost(bytes: number): Transform {
  let left = bytes
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      left -= chunk.length
      if (left < 0) done(new Error('a zip archive that lies about its sizes'))
      else done(null, chunk)
    },
  })
}

/** Packs folders into one archive, in memory: meant for logs. `nameOf` gives the name of a file in it. */
export async function zip(folders: readonly string[], nameOf: (path: string) => string): Promise<Buffer> {
  const parts: Buffer[] = []
  const central: Buffer[] = []
  let at = 0
  let count = 0
  for (const folder of folders)
    for (const path of await filesIn(folder)) {
      const content = await readFile(path)
      const packed = deflateRawSync(content)
      const name = Buffer.from(nameOf(path))
      const fields = Buffer.alloc(26)
      fields.writeUInt16LE(20, 0)
      fields.writeUInt16LE(0x08_00, 2)
      fields.writeUInt16LE(DEFLATED, 4)
      fields.writeUInt16LE(0x21, 8)
      fields.writeUInt32LE(crc32(content), 10)
      fields.writeUInt32LE(packed.length, 14)
      fields.writeUInt32LE(content.length, 18)
      fields.writeUInt16LE(name.length, 22)
      const head = Buffer.alloc(4)
      head.writeUInt32LE(LOCAL, 0)
      parts.push(head, fields, name, packed)
      const mark = Buffer.alloc(6)
      mark.writeUInt32LE(CENTRAL, 0)
      mark.writeUInt16LE(0x03_14, 4)
      const rest = Buffer.alloc(14)
      rest.writeUInt32LE((0o100644 << 16) >>> 0, 6)
      rest.writeUInt32LE(at, 10)
      central.push(mark, fields, rest, name)
      at += 30 + name.length + packed.length
      count += 1
    }
  const directory = Buffer.concat(central)
  const end = Buffer.alloc(END_BYTES)
  end.writeUInt32LE(END, 0)
  end.writeUInt16LE(count, 8)
  end.writeUInt16LE(count, 10)
  end.writeUInt32LE(directory.length, 12)
  end.writeUInt32LE(at, 16)
  return Buffer.concat([...parts, directory, end])
}

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}
