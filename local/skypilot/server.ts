import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { createAdaptorServer } from '@hono/node-server'
import { Faults } from './faults.ts'
import { Jobs, type Log } from './jobs.ts'
import { RequestTable } from './requests.ts'
import { createRoutes } from './routes.ts'
import { State } from './state.ts'

export interface LocalSkyPilotOptions {
  /** Everything it keeps is here: jobs, their files and logs. One server at a time. */
  home: string
  host?: string
  /** 0 for any that is free. */
  port: number
  /** How many jobs run at once; the others wait their turn. */
  slots?: number
  /** How long a job may take to end when it is told to; then it is killed. */
  graceMs?: number
  log?: Log
}

export interface LocalSkyPilot {
  url: string
  port: number
  /** Stops serving. Jobs go on; the next server on the same home takes them up again. */
  close(): Promise<void>
}

const GRACE_MS = 10_000

/** Starts a SkyPilot-compatible API server whose managed jobs are processes of this machine. */
export async function startLocalSkyPilot(options: LocalSkyPilotOptions): Promise<LocalSkyPilot> {
  const { host = '127.0.0.1', graceMs = GRACE_MS, log = () => {} } = options
  const home = resolve(options.home)
  const state = new State(home)
  const slots = options.slots ?? Math.max(1, availableParallelism())
  const jobs = new Jobs(state, { home, graceMs, slots, log })
  const closing = new AbortController()
  const parts = { state, jobs, requests: new RequestTable(), faults: new Faults(), closing: closing.signal }
  const server = createAdaptorServer({ fetch: createRoutes(parts).fetch })
  const listening = Promise.withResolvers<void>()
  server.once('error', listening.reject)
  server.listen(options.port, host, () => listening.resolve())
  try {
    await listening.promise
  } catch (error) {
    state.close()
    throw error
  }
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : options.port
  // Not before: a server that cannot listen must leave the jobs to the one that can.
  jobs.start()
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}`
  log('serving', { url, home, slots })
  return {
    url,
    port,
    async close() {
      jobs.close()
      closing.abort()
      const closed = new Promise((done) => server.close(done))
      if ('closeAllConnections' in server) server.closeAllConnections()
      await closed
      state.close()
    },
  }
}
