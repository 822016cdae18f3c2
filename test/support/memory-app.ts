import type { Pool } from 'pg'
import { createApp } from '../../api/app.tsx'
import { hostsFor } from '../../api/guards.ts'
import type { Receipt } from '../../core/receipt.ts'
import type { Experiments } from '../../sdk/experiments.ts'
import { createSkyPilot } from '../../skypilot/client.ts'

export interface MemoryOptions {
  fail?: Error
  /** A real database in place of the empty one. */
  db?: Pool
  experiments?: Partial<Experiments>
  skypilot?: string
  fenceSecret?: string
}

/** The console on a Postgres that holds nothing, or fails as it is told; for what needs neither rows nor workflows. */
export function memoryApp(options: MemoryOptions = {}): ReturnType<typeof createApp> {
  const query = (): Promise<{ rows: unknown[] }> =>
    options.fail ? Promise.reject(options.fail) : Promise.resolve({ rows: [] })
  const refused = (): Promise<Receipt> => Promise.resolve({ accepted: false, reason: 'nothing is here' })
  const done = (): Promise<void> => Promise.resolve()
  const experiments: Experiments = {
    start: () => Promise.resolve(true),
    setDesiredState: refused,
    setFlags: refused,
    edit: refused,
    hold: refused,
    release: refused,
    confirmGone: refused,
    adopt: refused,
    delete: refused,
    undelete: refused,
    restore: done,
    endOrphan: done,
    state: () => Promise.resolve(undefined),
    refresh: done,
    ...options.experiments,
  }
  return createApp({
    db: options.db ?? ({ query } as unknown as Pool),
    experiments,
    skypilot: createSkyPilot({ endpoint: options.skypilot ?? 'http://127.0.0.1:9' }),
    pollIntervalMs: 1_000,
    fenceSecret: options.fenceSecret ?? null,
    changes: { subscribe: () => () => {}, close: () => Promise.resolve() },
    temporalUiUrl: null,
    temporalNamespace: 'default',
    hosts: hostsFor('127.0.0.1'),
    log: { error: () => {}, warn: () => {}, debug: () => {} } as never,
  })
}
