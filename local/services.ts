import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import { Connection } from '@temporalio/client'
import type { Settings } from '../runtime/env.ts'
import { WORKFLOW_TASK_QUEUE } from '../workflows/definitions.ts'
import type { Child, ChildSpec } from './child.ts'
import { fenceSecret } from './fence-secret.ts'
import { type Supervisor, untilReady } from './supervisor.ts'

const READY_WITHIN_MS = 90_000

/** Where the parts of the stack are, once they run. */
export interface Addresses {
  databaseUrl: string
  temporalAddress: string
  temporalUiUrl: string | null
  skypilotEndpoint: string
}

/** Where the compiled program is. */
export const DIST = fileURLToPath(new URL('..', import.meta.url))

/** Starts the local SkyPilot server. Returns its address when it answers. */
export async function startSkypilot(
  supervisor: Supervisor,
  given: { home: string; port: number; slots: number; dist: string },
): Promise<string> {
  const address = `http://127.0.0.1:${given.port}`
  const args = ['--home', join(given.home, 'skypilot'), '--port', String(given.port)]
  const spec = nodeSpec('skypilot', join(given.dist, 'local/skypilot/main.js'), 256, {})
  const child = await supervisor.start({
    ...spec,
    args: [...spec.args, ...args, '--slots', String(given.slots)],
  })
  await untilReady(child, () => answersOk(`${address}/api/health`), READY_WITHIN_MS)
  return address
}

/** Starts the worker. Returns when Temporal sees it ask for work. */
export async function startWorker(
  supervisor: Supervisor,
  settings: Settings,
  addresses: Addresses,
  dist: string,
): Promise<void> {
  const env = environmentOf(settings, addresses)
  const child = await supervisor.start(nodeSpec('worker', join(dist, 'worker/main.js'), 512, env))
  const { temporalNamespace: namespace } = settings
  await untilReady(child, () => isPolled(addresses.temporalAddress, namespace, child), READY_WITHIN_MS)
}

/** Starts the web console. Returns its address when it answers. */
export async function startWeb(
  supervisor: Supervisor,
  settings: Settings,
  addresses: Addresses,
  dist: string,
): Promise<string> {
  const env = environmentOf(settings, addresses)
  const child = await supervisor.start(nodeSpec('web', join(dist, 'api/main.js'), 256, env))
  const address = consoleAddress(settings)
  await untilReady(child, () => answersOk(`${address}/healthz`), READY_WITHIN_MS)
  return address
}

/** The address under which a browser of this machine finds the console. */
export function consoleAddress({ host, port }: { host: string; port: number }): string {
  const everywhere: Record<string, string> = { '0.0.0.0': '127.0.0.1', '::': '::1' }
  const reached = everywhere[host] ?? host
  return `http://${reached.includes(':') ? `[${reached}]` : reached}:${port}`
}

/** The settings of this stack as the worker and the web console read them. */
export function environmentOf(settings: Settings, addresses: Addresses): Record<string, string> {
  return {
    SKYDECK_HOME: settings.home,
    SKYDECK_HOST: settings.host,
    SKYDECK_PORT: String(settings.port),
    SKYDECK_LOG_LEVEL: settings.logLevel,
    SKYDECK_POLL_INTERVAL: String(settings.pollIntervalMs / 1000),
    SKYDECK_RECONCILE_INTERVAL: String(settings.reconcileIntervalMs / 1000),
    SKYDECK_DATABASE_URL: addresses.databaseUrl,
    TEMPORAL_ADDRESS: addresses.temporalAddress,
    TEMPORAL_NAMESPACE: settings.temporalNamespace,
    SKYPILOT_API_SERVER_ENDPOINT: addresses.skypilotEndpoint,
    SKYDECK_LAUNCHES_IN_FLIGHT: String(settings.launchesInFlight),
    ...fenceEnvironment(settings, addresses),
    ...(addresses.temporalUiUrl === null ? {} : { SKYDECK_TEMPORAL_UI_URL: addresses.temporalUiUrl }),
  }
}

/**
 * Jobs of a SkyPilot on this machine reach the console as a browser does. Machines elsewhere would find something else
 * under that address, or nothing, so for them it must be named.
 */
function fenceEnvironment(settings: Settings, addresses: Addresses): Record<string, string> {
  const isNear = /^(?:localhost|127\..*|\[::1\])$/.test(new URL(addresses.skypilotEndpoint).hostname)
  const url = settings.fenceUrl ?? (isNear ? consoleAddress(settings) : null)
  return {
    SKYDECK_FENCE: settings.fenceMode,
    SKYDECK_FENCE_SECRET: settings.fenceSecret ?? fenceSecret(settings.home),
    ...(url === null ? {} : { SKYDECK_FENCE_URL: url }),
  }
}

function nodeSpec(name: string, script: string, heapMiB: number, env: Record<string, string>): ChildSpec {
  return { name, command: process.execPath, args: [`--max-old-space-size=${heapMiB}`, script], env }
}

async function answersOk(address: string): Promise<boolean> {
  const answer = await fetch(address, { signal: AbortSignal.timeout(3000) })
  await answer.body?.cancel()
  return answer.status === 200
}

/** Whether anybody asks Temporal for workflow tasks. */
async function isPolled(address: string, namespace: string, child: Child): Promise<boolean> {
  if (child.identity === null) return false
  const connection = await Connection.connect({ address, connectTimeout: '1s' })
  try {
    const { pollers } = await connection.withDeadline(Date.now() + 1000, () =>
      connection.workflowService.describeTaskQueue({
        namespace,
        taskQueue: { name: WORKFLOW_TASK_QUEUE },
      }),
    )
    return (pollers ?? []).length > 0
  } finally {
    await connection.close()
  }
}
