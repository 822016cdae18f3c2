import type { Client } from '@temporalio/client'
import type { Pool } from 'pg'
import { startExperiment } from '../sdk/start.ts'
import { unstarted } from '../store/experiments.ts'

/** A creation that is older than this and has no workflow lost its process half-way. */
const ABANDONED_MS = 5_000

/**
 * Starts the workflows of experiments whose creation was cut short after the row was written. Safe to repeat: the
 * workflow id is the experiment's, and a workflow that exists is left alone.
 */
export async function startMissing(deps: { db: Pool; temporal: Client }): Promise<void> {
  for (const row of await unstarted(deps.db, ABANDONED_MS))
    await startExperiment(deps.temporal, { ...row, actor: row.createdBy })
}
