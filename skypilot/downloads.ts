import { createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { SkyPilotError } from './errors.ts'
import type { CallOptions } from './requests.ts'
import type { Transport } from './transport.ts'
import { extractZip, placeIn } from './zip-reader.ts'

async function* capped(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let bytes = 0
  for await (const chunk of source) {
    bytes += chunk.byteLength
    if (bytes > PACKED_BYTES_MAX) throw new SkyPilotError('protocol', 'the archive is larger than 4 GiB')
    yield chunk
  }
}

/** Logs that unpack to more than this are not written: the archive may be made to fill our disk. */
const UNPACKED_BYTES_MAX = 16 * 1024 ** 3

const PACKED_BYTES_MAX = 4 * 1024 ** 3

export type Downloads = ReturnType<typeof createDownloads>

/** Brings folders of the server to this machine. */
export function createDownloads(transport: Transport) {
  /** Fetches one folder of the server into a folder of ours, under its own name, and gives back where it is. */
  async function folder(there: string, into: string, { signal }: CallOptions = {}): Promise<string> {
    const base = basename(there)
    if (base === '' || base === '.' || base === '..' || base === '~')
      throw new SkyPilotError('protocol', `not a folder of logs: ${JSON.stringify(there)}`)
    const temporary = await mkdtemp(join(tmpdir(), 'skypilot-'))
    try {
      const zip = join(temporary, 'logs.zip')
      const path = '/download?relative=items'
      const body = { folder_paths: [there] }
      const answer = await transport.openLog({ method: 'POST', path, body, signal })
      await pipeline(answer.body, capped, createWriteStream(zip))
      await extractZip(zip, into, placeIn(base), { maxBytes: UNPACKED_BYTES_MAX })
    } finally {
      await rm(temporary, { recursive: true, force: true })
    }
    return join(into, base)
  }

  return {
    folder,

    /** Fetches the folder of each job. */
    async folders(
      there: ReadonlyMap<number, string>,
      into: string,
      options: CallOptions,
    ): Promise<Map<number, string>> {
      const here = new Map<number, string>()
      for (const [jobId, path] of there) here.set(jobId, await folder(path, into, options))
      return here
    },
  }
}
