import { serve } from '@hono/node-server'
import { Client, Connection } from '@temporalio/client'
import { readSettings } from '../runtime/env.ts'
import { fenceOf } from '../runtime/fence-token.ts'
import { createLog } from '../runtime/log.ts'
import { onShutdown } from '../runtime/shutdown.ts'
import { createExperiments } from '../sdk/experiments.ts'
import { connectToSkyPilot } from '../runtime/skypilot.ts'
import { listen } from '../store/listen.ts'
import { openPool } from '../store/pool.ts'
import { createApp } from './app.tsx'
import { hostsFor } from './guards.ts'

const STOP_MS = 5_000

const settings = readSettings()
const log = createLog({ level: settings.logLevel, name: 'web' })
if (!settings.databaseUrl) throw new Error('SKYDECK_DATABASE_URL is not set: the console needs Postgres')

const onError = (error: Error): void => log.warn({ err: error }, 'lost a connection to Postgres')
const db = openPool(settings.databaseUrl, onError)
const changes = listen(settings.databaseUrl, 'skydeck', onError)
// Connects when it is first used, so that the pages are there while Temporal is away.
const connection = Connection.lazy({ address: settings.temporalAddress ?? 'localhost:7233' })
const temporal = new Client({ connection, namespace: settings.temporalNamespace })
const fence = fenceOf(settings)
const app = createApp({
  db,
  changes,
  experiments: createExperiments(temporal),
  skypilot: connectToSkyPilot(),
  pollIntervalMs: settings.pollIntervalMs,
  temporalUiUrl: settings.temporalUiUrl,
  temporalNamespace: settings.temporalNamespace,
  fenceSecret: settings.fenceSecret,
  hosts: hostsFor(settings.host, fence?.url),
  log,
})
const server = serve({ fetch: app.fetch, hostname: settings.host, port: settings.port }, ({ port }) =>
  log.info({ host: settings.host, port }, 'serving'),
)

onShutdown(
  async () => {
    server.close()
    if ('closeAllConnections' in server) server.closeAllConnections()
    await changes.close()
    await connection.close()
    await db.end()
  },
  { timeoutMs: STOP_MS, onProblem: (problem) => log.error(problem) },
)
