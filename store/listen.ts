import pg from 'pg'
import type { Queryable } from './query.ts'

const RETRY_MS = 1_000

export interface Listener {
  /** Hears every notice, and undefined whenever notices may have been missed. Returns how to stop hearing. */
  subscribe(hear: (payload: string | undefined) => void): () => void
  close(): Promise<void>
}

/** Listens on one channel with one connection for the whole process, and connects again for as long as it takes. */
export function listen(databaseUrl: string, channel: Channel, onError: (error: Error) => void): Listener {
  const hearers = new Set<(payload: string | undefined) => void>()
  let client: pg.Client | undefined
  let closed = false
  let retry: NodeJS.Timeout | undefined

  const tell = (payload: string | undefined): void => hearers.forEach((hear) => hear(payload))

  async function connect(): Promise<void> {
    client = new pg.Client({
      connectionString: databaseUrl,
      application_name: 'skydeck-listen',
      keepAlive: true,
    })
    client.on('notification', ({ payload }) => tell(payload ?? ''))
    client.on('error', onError)
    client.on('end', again)
    await client.connect()
    await client.query(`listen ${channel}`)
    tell(undefined)
  }

  function attempt(): void {
    connect().catch((error: unknown) => {
      onError(error instanceof Error ? error : new Error(String(error)))
      again()
    })
  }

  function again(): void {
    if (closed) return
    clearTimeout(retry)
    retry = setTimeout(attempt, RETRY_MS)
  }

  attempt()
  return {
    subscribe(hear) {
      hearers.add(hear)
      return () => hearers.delete(hear)
    },
    async close() {
      closed = true
      clearTimeout(retry)
      await client?.end().catch(onError)
    },
  }
}

/** `skydeck` carries what changed in the tables; `skydeck_look` asks the fleet to look now. */
export type Channel = 'skydeck' | 'skydeck_look'

/** What changed: experiments by id, all of them (too many to name, or notices were missed), or a source's age. */
export type Change = { kind: 'experiments'; ids: readonly number[] } | { kind: 'all' } | { kind: 'source' }

/** Reads a notice of the channel `skydeck`. */
export function changeOf(payload: string | undefined): Change {
  if (payload === undefined || payload === '*') return { kind: 'all' }
  if (payload === 'source') return { kind: 'source' }
  return { kind: 'experiments', ids: payload.split(',').map(Number) }
}

/** Asks the fleet to look at SkyPilot now. */
export async function askForLook(db: Queryable): Promise<void> {
  await db.query("select pg_notify('skydeck_look', '')")
}
