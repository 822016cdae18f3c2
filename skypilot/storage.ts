import { anyMap, boolean, type Check, either, fields, invalid, isMap, listOf, oneOf, text } from './checks.ts'
import { InvalidError } from './errors.ts'

/** A bucket at a path of the machines. */
export interface StorageMount {
  /** Of the bucket; made when it is not there. */
  name?: string
  /** Local files to upload, or the address of a bucket that is there (`s3://...`). */
  source?: string | readonly string[]
  /** Such as `s3` or `gcs`. */
  store?: string
  /** Keep the bucket when the task is over. True unless said otherwise. */
  persistent?: boolean
  mode?: 'MOUNT' | 'COPY' | 'MOUNT_CACHED'
  /** Tunes `MOUNT_CACHED`, such as `MODEL_CHECKPOINT_RO`. */
  type?: string
  /** Finer tuning, as SkyPilot's reference has it (`mount`, `mount_cached`). */
  config?: Readonly<Record<string, unknown>>
}

const BUCKET = /^[a-z0-9]+:\/\//i

const STORAGE = fields({
  name: text,
  source: either('a path, an address, or a list of paths', text, listOf(text)),
  store: text,
  persistent: boolean,
  mode: oneOf('mount', 'copy', 'mount_cached'),
  type: text,
  config: anyMap,
})

const path: Check = (value, at) => {
  if (typeof value !== 'string' || value === '') throw invalid(at, 'a path, an address or a bucket', value)
  if (value.endsWith('/')) throw new InvalidError(`${at}: a path of a mount cannot end with a slash`)
}

/** Checks `file_mounts`: a source, or a bucket, for each path. @throws InvalidError that names the path */
export function checkFileMounts(value: unknown, at: string): void {
  if (!isMap(value)) throw invalid(at, 'a map from paths of the machines to sources', value)
  for (const [destination, source] of Object.entries(value)) {
    const where = `${at}.${destination}`
    path(destination, where)
    if (BUCKET.test(destination)) throw new InvalidError(`${where}: a bucket is no place on a machine`)
    if (!isMap(source)) path(source, where)
    else {
      STORAGE(source, where)
      const isVolume = String(source['store']).toLowerCase() === 'volume'
      if (source['name'] == null && source['source'] == null && !isVolume)
        throw new InvalidError(`${where}: a bucket needs a name or a source`)
    }
  }
}
