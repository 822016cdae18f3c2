import { fileURLToPath } from 'node:url'
import { Client, Connection } from '@temporalio/client'
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker'
import { createActivities } from '../activities/index.ts'
import type { AttemptKey } from '../activities/launch.ts'
import type { Fence } from '../core/fence.ts'
import { readSettings, type Settings } from '../runtime/env.ts'
import { fenceOf, fenceToken } from '../runtime/fence-token.ts'
import { createLog, type Log } from '../runtime/log.ts'
import { onShutdown } from '../runtime/shutdown.ts'
import { startFleet } from '../sdk/start.ts'
import { connectToSkyPilot } from '../runtime/skypilot.ts'
import { listen } from '../store/listen.ts'
import { migrate } from '../store/migrate.ts'
import { openPool } from '../store/pool.ts'
import { LAUNCH_TASK_QUEUE, WORKFLOW_TASK_QUEUE } from '../workflows/definitions.ts'
import { registerSearchAttributes } from './search-attributes.ts'

const codePath = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/** Launches that wait for SkyPilot to have room hold a slot; the others wait with Temporal, in the order of their priority. */
const LAUNCHES_MAX = 4

/** Every follow of a launch holds a slot for minutes, so there are many; a slot costs next to nothing. */
const QUICK_ACTIVITIES_MAX = 500

/** A cached workflow saves a replay of its short history; most experiments rest most of the time. */
const CACHED_WORKFLOWS_MAX = 1_000

/**
 * Workflow tasks in hand at once. The time that a task has runs from the moment when a worker takes it, so those that
 * have to wait must wait with Temporal and not here: all are worked on by one thread, and one that has been taken over
 * with its history takes long.
 */
const WORKFLOW_TASKS_MAX = 6

/** How many ask for workflow tasks. One that dies with an answer on its way swallows a task. */
const WORKFLOW_TASK_POLLS = 5

/**
 * So long does a workflow wait for the worker that has it in its cache; then any other takes it, and replays it. In a
 * storm of starts tasks wait for a second, and to replay them as well would make it worse.
 */
const STICKY_MS = 2_000
const DRAIN_MS = 5_000

/** So long may a statement of the look-out take. */
const HASTY_MS = 1_000
const MIGRATE_AGAIN_MS = 2_000

const settings = readSettings()
const log = createLog({ level: settings.logLevel, name: 'worker' })
if (!settings.databaseUrl) throw new Error('SKYDECK_DATABASE_URL is not set: the worker needs Postgres')
await work(settings, settings.databaseUrl)

/** Runs until it is told to stop: what is being done is finished or handed back first. */
async function work(given: Settings, databaseUrl: string): Promise<void> {
  Runtime.install({ logger: temporalLogger(log), shutdownSignals: [] })
  const onError = (error: Error): void => log.warn({ err: error }, 'lost a connection to Postgres')
  await bringTablesUp(databaseUrl)
  const db = openPool(databaseUrl, onError)
  const hastyDb = openPool(databaseUrl, onError, HASTY_MS)
  const looks = listen(databaseUrl, 'skydeck_look', onError)
  const address = given.temporalAddress ?? 'localhost:7233'
  const namespace = given.temporalNamespace
  const connection = await Connection.connect({ address })
  const temporal = new Client({ connection, namespace })
  await registerSearchAttributes(connection, namespace)
  const activities = createActivities({
    skypilot: connectToSkyPilot(given),
    db,
    hastyDb,
    temporal,
    pollIntervalMs: given.pollIntervalMs,
    reconcileIntervalMs: given.reconcileIntervalMs,
    launchesInFlight: given.launchesInFlight,
    fenceOf: fencing(given),
    onLookAsked: (look) => looks.subscribe(look),
    log: (message, fields) => log.warn(fields ?? {}, message),
  })
  const workers = await createWorkers(await NativeConnection.connect({ address }), namespace, activities)
  await startFleet(temporal)
  const stop = onShutdown(() => drained(workers), {
    timeoutMs: 2 * DRAIN_MS,
    onProblem: (problem) => log.error(problem),
  })
  log.info({ address, namespace }, 'working')
  await Promise.race(workers.map((worker) => worker.run()))
  // The other one may still have something to write.
  await drained(workers)
  await looks.close()
  await Promise.all([db.end(), hastyDb.end()])
  stop('a worker ended')
}

function createWorkers(
  connection: NativeConnection,
  namespace: string,
  activities: ReturnType<typeof createActivities>,
): Promise<[Worker, Worker]> {
  const common = {
    connection,
    namespace,
    activities,
    shutdownGraceTime: '1s',
    shutdownForceTime: DRAIN_MS,
    // Heartbeats carry the news that an activity is not wanted any more.
    maxHeartbeatThrottleInterval: '3s',
  }
  return Promise.all([
    Worker.create({
      ...common,
      taskQueue: WORKFLOW_TASK_QUEUE,
      workflowBundle: { codePath: codePath('../workflow-bundle.js') },
      dataConverter: { payloadConverterPath: codePath('../workflows/payload-converter.js') },
      maxConcurrentActivityTaskExecutions: QUICK_ACTIVITIES_MAX,
      maxCachedWorkflows: CACHED_WORKFLOWS_MAX,
      maxConcurrentWorkflowTaskExecutions: WORKFLOW_TASKS_MAX,
      maxConcurrentWorkflowTaskPolls: WORKFLOW_TASK_POLLS,
      // What is taken over from another worker comes by the queue that is not sticky.
      nonStickyToStickyPollRatio: 0.4,
      stickyQueueScheduleToStartTimeout: STICKY_MS,
    }),
    Worker.create({
      ...common,
      taskQueue: LAUNCH_TASK_QUEUE,
      maxConcurrentActivityTaskExecutions: LAUNCHES_MAX,
      maxConcurrentActivityTaskPolls: 1,
    }),
  ])
}

/** Experiments are controlled without the tables too: where Postgres is away they are brought up when it is back. */
async function bringTablesUp(databaseUrl: string): Promise<void> {
  try {
    await migrate(databaseUrl, (message) => log.info(message))
  } catch (error) {
    log.warn({ err: error }, 'the tables could not be brought up to date; trying again')
    setTimeout(() => void bringTablesUp(databaseUrl), MIGRATE_AGAIN_MS).unref()
  }
}

/** Where a job asks for the lease of its attempt, and what shows that it may. */
function fencing(given: Settings): (attempt: AttemptKey) => Fence {
  const fence = fenceOf(given)
  if (!fence) return () => ({ mode: 'off', url: '', token: '' })
  const base = fence.url.replace(/\/+$/, '')
  return (attempt) => ({
    mode: fence.mode,
    url: `${base}/api/fence/${attempt.experimentId}/${attempt.run}/${attempt.attempt}`,
    token: fenceToken(fence.secret, attempt),
  })
}

async function drained(workers: readonly Worker[]): Promise<void> {
  for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown()
  while (workers.some((worker) => !['STOPPED', 'FAILED'].includes(worker.getState())))
    await new Promise((resolve) => setTimeout(resolve, 50))
}

/** Temporal's own messages go into the same log. Its INFO is about every poller and workflow: that is our debug. */
function temporalLogger(to: Log): DefaultLogger {
  return new DefaultLogger('INFO', ({ level, message, meta }) => {
    const fields = meta ?? {}
    if (level === 'ERROR') to.error(fields, message)
    else if (level === 'WARN') to.warn(fields, message)
    else to.debug(fields, message)
  })
}
