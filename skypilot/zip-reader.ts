import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, realpath } from 'node:fs/promises'
import { dirname, resolve, sep } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { crc32, createInflateRaw } from 'node:zlib'
import { SkyPilotError } from './errors.ts'

interface Entry {
  name: string
  method: number
  crc: number
  packedBytes: number
  bytes: number
  mode: number
  offset: number
}

export interface ExtractLimits {
  /** How much may come out, in bytes. */
  maxBytes: number
}

const DIRECTORY_BYTES_MAX = 64 * 1024 * 1024
const S_IFMT = 0o170_000
const S_IFREG = 0o100_000

const broken = (what: string): SkyPilotError =>
  new SkyPilotError('protocol', `the archive is broken: ${what}`)

/**
 * Unpacks a zip file that came from elsewhere. `place` says where in the folder an entry goes. Nothing is ever written
 * outside of the folder: names that lead out of it, and links, are refused.
 * @throws SkyPilotError `protocol` for an archive that is broken, malicious, or larger than allowed
 */
export async function extractZip(
  path: string,
  folder: string,
  place: (name: string) => string,
  { maxBytes }: ExtractLimits,
): Promise<void> {
  await mkdir(folder, { recursive: true })
  const root = await realpath(folder)
  const zip = await open(path, 'r')
  try {
    const entries = await directoryOf(zip)
    if (entries.reduce((sum, { bytes }) => sum + bytes, 0) > maxBytes)
      throw new SkyPilotError('protocol', `the archive holds more than ${maxBytes} bytes`)
    for (const entry of entries) await extract(zip, entry, targetOf(root, place(entry.name)), root)
  } finally {
    await zip.close()
  }
}

function targetOf(root: string, name: string): string {
  const parts = name.split('/')
  if (name.startsWith('/') || name.includes('\\') || name.includes('\0') || parts.includes('..'))
    throw new SkyPilotError(
      'protocol',
      `the archive would write outside of its folder: ${JSON.stringify(name)}`,
    )
  return resolve(root, ...parts)
}

async function extract(zip: FileHandle, entry: Entry, target: string, root: string): Promise<void> {
  const type = entry.mode & S_IFMT
  const isFolder = entry.name.endsWith('/')
  if (!isFolder && type !== 0 && type !== S_IFREG)
    throw new SkyPilotError('protocol', `the archive holds a link or a device: ${JSON.stringify(entry.name)}`)
  const parent = isFolder ? target : dirname(target)
  await mkdir(parent, { recursive: true })
  // A link that was in the folder before must not lead out of it either.
  const real = await realpath(parent)
  if (real !== root && !real.startsWith(root.endsWith(sep) ? root : root + sep))
    throw new SkyPilotError('protocol', `${parent} leads out of ${root}`)
  if (!isFolder) await unpack(zip, entry, target)
}

async function unpack(zip: FileHandle, entry: Entry, target: string): Promise<void> {
  const header = await read(zip, entry.offset, 30)
  if (header.readUInt32LE(0) !== 0x04_03_4b_50) throw broken('no entry where one should be')
  const start = entry.offset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28)
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW
  const file = await open(target, flags, 0o644)
  let [crc, bytes] = [0, 0]
  const write = async (source: AsyncIterable<Buffer>): Promise<void> => {
    for await (const chunk of source) {
      bytes += chunk.length
      if (bytes > entry.bytes) throw broken(`${entry.name} is longer than it says`)
      crc = crc32(chunk, crc)
      await file.write(chunk)
    }
  }
  try {
    if (entry.method === 0) await write(pieces(zip, start, entry.packedBytes))
    else if (entry.method === 8)
      await pipeline(pieces(zip, start, entry.packedBytes), createInflateRaw(), write)
    else throw broken(`unknown packing ${entry.method}`)
  } catch (error) {
    throw error instanceof SkyPilotError ? error : broken(`${entry.name}: ${String(error)}`)
  } finally {
    await file.close()
  }
  if (bytes !== entry.bytes || crc !== entry.crc) throw broken(`${entry.name} is not what was packed`)
}

async function* pieces(zip: FileHandle, start: number, length: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < length; at += 65_536) yield await read(zip, start + at, Math.min(65_536, length - at))
}

async function read(zip: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length)
  const { bytesRead } = await zip.read(buffer, 0, length, position)
  if (bytesRead !== length) throw broken('it ends too early')
  return buffer
}

async function directoryOf(zip: FileHandle): Promise<Entry[]> {
  const { size } = await zip.stat()
  const tail = await read(zip, Math.max(0, size - 65_557), Math.min(size, 65_557))
  const end = tail.lastIndexOf(Buffer.from([0x50, 0x4b, 5, 6]))
  if (end === -1 || end + 22 > tail.length) throw broken('no directory')
  const count = tail.readUInt16LE(end + 10)
  const [length, offset] = [tail.readUInt32LE(end + 12), tail.readUInt32LE(end + 16)]
  if (count === 0xff_ff || offset === 0xff_ff_ff_ff) throw broken('a zip of 64 bits, which is not read here')
  if (length > DIRECTORY_BYTES_MAX) throw broken('its directory is too long')
  const directory = await read(zip, offset, length)
  const entries: Entry[] = []
  for (let at = 0; entries.length < count;) {
    const { entry, next } = lineAt(directory, at)
    entries.push(entry)
    at = next
  }
  return entries
}

/** One line of the directory, and where the next one begins. */
function lineAt(directory: Buffer, at: number): { entry: Entry; next: number } {
  if (at + 46 > directory.length || directory.readUInt32LE(at) !== 0x02_01_4b_50)
    throw broken('its directory ends early')
  const nameEnd = at + 46 + directory.readUInt16LE(at + 28)
  const entry = {
    name: directory.toString('utf8', at + 46, nameEnd),
    method: directory.readUInt16LE(at + 10),
    crc: directory.readUInt32LE(at + 16),
    packedBytes: directory.readUInt32LE(at + 20),
    bytes: directory.readUInt32LE(at + 24),
    mode: directory.readUInt32LE(at + 38) >>> 16,
    offset: directory.readUInt32LE(at + 42),
  }
  return { entry, next: nameEnd + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32) }
}

/** Where an entry of a folder `base` goes, whether the server names it from the folder on or by its whole path. */
export function placeIn(base: string): (name: string) => string {
  return (name) => {
    if (name === base || name.startsWith(`${base}/`)) return name
    const at = `/${name}`.indexOf(`/${base}/`)
    if (at !== -1) return name.slice(at)
    if (name.endsWith(`/${base}`)) return base
    throw broken(`${JSON.stringify(name)} is not of ${base}`)
  }
}
