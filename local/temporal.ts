import { join } from 'node:path'
import { Connection } from '@temporalio/client'
import { type Supervisor, untilReady } from './supervisor.ts'

const READY_WITHIN_MS = 60_000

const SEARCH_ATTRIBUTES = ['SkyDeckState', 'SkyDeckName', 'SkyDeckOwner']

/** One machine needs one partition of the one task queue; more only add hops to each task. */
const DYNAMIC_CONFIG = [
  'matching.numTaskqueueReadPartitions=1',
  'matching.numTaskqueueWritePartitions=1',
  // Launches are served by priority, and fairly between owners.
  'matching.useNewMatcher=true',
  'matching.enableFairness=true',
]

/** What Temporal's development server needs to be told. */
export interface TemporalWish {
  binary: string
  home: string
  port: number
  uiPort: number
  namespace: string
}

/** Starts Temporal's development server on the home folder's file. Returns its address when it answers. */
export async function startTemporal(supervisor: Supervisor, wish: TemporalWish): Promise<string> {
  const address = `127.0.0.1:${wish.port}`
  const child = await supervisor.start({
    name: 'temporal',
    command: wish.binary,
    args: argsOf(wish),
    // Go would otherwise let garbage grow to twice what is in use before it collects.
    env: { GOMEMLIMIT: '300MiB', GOGC: '60' },
    cwd: wish.home,
  })
  await untilReady(child, () => answers(address, wish.namespace), READY_WITHIN_MS)
  return address
}

function argsOf(wish: TemporalWish): string[] {
  return [
    'server',
    'start-dev',
    '--ip=127.0.0.1',
    '--log-level=error',
    `--port=${wish.port}`,
    `--ui-port=${wish.uiPort}`,
    `--db-filename=${join(wish.home, 'temporal.db')}`,
    ...(wish.namespace === 'default' ? [] : ['--namespace', wish.namespace]),
    ...SEARCH_ATTRIBUTES.flatMap((name) => ['--search-attribute', `${name}=Keyword`]),
    ...DYNAMIC_CONFIG.flatMap((value) => ['--dynamic-config-value', value]),
  ]
}

/** Whether the frontend takes requests for the namespace. */
async function answers(address: string, namespace: string): Promise<boolean> {
  const connection = await Connection.connect({ address, connectTimeout: '1s' })
  try {
    await connection.withDeadline(Date.now() + 1000, () =>
      connection.workflowService.describeNamespace({ namespace }),
    )
    return true
  } finally {
    await connection.close()
  }
}
