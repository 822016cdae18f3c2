import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { createAdaptorServer } from '@hono/node-server'
import { z } from 'zod'
import { ClusterJobs } from './cluster-jobs.ts'
import { ClusterState } from './cluster-state.ts'
import { Clusters } from './clusters.ts'
import { Database } from './database.ts'
import type { Parts } from './exchange.ts'
import { Fault, type FaultGiven, Faults, Listing } from './faults.ts'
import { Jobs, type Log } from './jobs.ts'
import { RequestTable } from './requests.ts'
import { createRoutes } from './routes.ts'
import { ServiceState } from './service-state.ts'
import { Services } from './services.ts'
import { DEFAULT_SETTINGS, type Settings, type SettingsChange } from './settings.ts'
import { State } from './state.ts'

export interface LocalSkyPilotOptions {
  /** Everything it keeps is here: jobs, their files and logs. One server at a time. */
  home: string
  host?: string
  /** 0 for any that is free. */
  port: number
  /** How many managed jobs run at once; the others wait their turn. */
  slots?: number
  /** How long a job may take to end when it is told to; then it is killed. */
  graceMs?: number
  /** How the pretended cloud behaves. */
  settings?: SettingsChange
  /** What goes wrong, from the start. */
  faults?: readonly FaultGiven[]
  log?: Log
}

export interface LocalSkyPilot {
  url: string
  port: number
  /** Stops serving. Jobs go on; the next server on the same home takes them up again. */
  close(): Promise<void>
}

const GRACE_MS = 10_000

/** Starts a SkyPilot-compatible API server whose jobs are processes of this machine. */
export async function startLocalSkyPilot(options: LocalSkyPilotOptions): Promise<LocalSkyPilot> {
  const { host = '127.0.0.1', log = () => {} } = options
  const closing = new AbortController()
  const parts = createParts(options, closing.signal)
  const server = createAdaptorServer({ fetch: createRoutes(parts).fetch })
  const listening = Promise.withResolvers<void>()
  server.once('error', listening.reject)
  server.listen(options.port, host, () => listening.resolve())
  try {
    await listening.promise
  } catch (error) {
    parts.database.close()
    throw error
  }
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : options.port
  // Not before: a server that cannot listen must leave the jobs to the one that can.
  const keepers = [parts.jobs, parts.clusterJobs, parts.clusters, parts.services]
  for (const keeper of keepers) keeper.start()
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}`
  log('serving', { url, home: parts.home })
  return {
    url,
    port,
    async close() {
      for (const keeper of keepers) keeper.close()
      closing.abort()
      const closed = new Promise((done) => server.close(done))
      if ('closeAllConnections' in server) server.closeAllConnections()
      await closed
      await parts.requests.close()
      parts.database.close()
    },
  }
}

function createParts(options: LocalSkyPilotOptions, closing: AbortSignal): Parts {
  const { graceMs = GRACE_MS, log = () => {} } = options
  const home = resolve(options.home)
  const slots = options.slots ?? Math.max(1, availableParallelism())
  let current = { ...DEFAULT_SETTINGS, ...withoutGaps(options.settings ?? {}) }
  const settings = () => current
  const faults = new Faults()
  faults.set(z.array(Fault).parse(options.faults ?? []))
  const database = new Database(home)
  const state: State = new State(database, () => listings.jobs.remember())
  const clusterState: ClusterState = new ClusterState(database, (kind) => listings[kind].remember())
  const listings = {
    jobs: new Listing(faults, () => state.jobs()),
    clusters: new Listing(faults, () => clusterState.clusters()),
    clusterJobs: new Listing(faults, () => clusterState.allJobs()),
  }
  const requests = new RequestTable(() => current.longRequests)
  const jobs = new Jobs({ state, faults, settings }, { home, graceMs, slots, log })
  const clusterJobs = new ClusterJobs(clusterState, { home, graceMs, log })
  const clusters = new Clusters({
    home,
    state: clusterState,
    jobs: clusterJobs,
    requests,
    faults,
    settings,
    log,
  })
  const serviceState = new ServiceState(database)
  const services = new Services(serviceState, { home, graceMs, log })
  return {
    home,
    database,
    serviceState,
    services,
    state,
    jobs,
    clusterState,
    clusters,
    clusterJobs,
    requests,
    listings,
    faults,
    settings,
    setSettings: (change) => {
      current = { ...current, ...withoutGaps(change) }
    },
    closing,
  }
}

/** A value that is not given does not stand in for one that is. */
const withoutGaps = (change: SettingsChange): Partial<Settings> =>
  Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined))
