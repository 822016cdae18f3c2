import type { Pool } from 'pg'
import { createApp } from '../../api/app.tsx'
import { hostsFor } from '../../api/guards.ts'
import type { Experiments } from '../../sdk/experiments.ts'
import { createSkyPilot } from '../../skypilot/client.ts'

/** The console on a Postgres that holds nothing, or fails as it is told; for what needs neither rows nor workflows. */
export function memoryApp(options: { fail?: Error } = {}): ReturnType<typeof createApp> {
  const query = (): Promise<{ rows: unknown[] }> =>
    options.fail ? Promise.reject(options.fail) : Promise.resolve({ rows: [] })
  const experiments: Experiments = {
    start: () => Promise.resolve(),
    setDesiredState: () => Promise.resolve({ accepted: false, reason: 'nothing is here' }),
    setFlags: () => Promise.resolve({ accepted: false, reason: 'nothing is here' }),
    edit: () => Promise.resolve({ accepted: false, reason: 'nothing is here' }),
    delete: () => Promise.resolve({ accepted: false, reason: 'nothing is here' }),
    state: () => Promise.resolve(undefined),
    refresh: () => Promise.resolve(),
  }
  return createApp({
    db: { query } as unknown as Pool,
    experiments,
    skypilot: createSkyPilot({ endpoint: 'http://127.0.0.1:9' }),
    changes: { subscribe: () => () => {}, close: () => Promise.resolve() },
    temporalUiUrl: null,
    temporalNamespace: 'default',
    hosts: hostsFor('127.0.0.1'),
    log: { error: () => {}, warn: () => {}, debug: () => {} } as never,
  })
}
