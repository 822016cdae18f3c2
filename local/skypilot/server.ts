import { availableParallelism } from 'node:os'
import { serve } from '@hono/node-server'
import { Faults } from './faults.ts'
import { Jobs } from './jobs.ts'
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
  const { home, host = '127.0.0.1', graceMs = GRACE_MS } = options
  const state = new State(home)
  const jobs = new Jobs(state, { home, graceMs, slots: options.slots ?? Math.max(2, availableParallelism()) })
  const app = createRoutes({ state, jobs, requests: new RequestTable(), faults: new Faults() })
  const bound = Promise.withResolvers<number>()
  const server = serve({ fetch: app.fetch, hostname: host, port: options.port }, (info) =>
    bound.resolve(info.port),
  )
  server.on('error', bound.reject)
  const port = await bound.promise
  return {
    url: `http://${host}:${port}`,
    port,
    async close() {
      jobs.close()
      const closed = new Promise((resolve) => server.close(resolve))
      if ('closeAllConnections' in server) server.closeAllConnections()
      await closed
      state.close()
    },
  }
}
