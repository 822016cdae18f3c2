import { setTimeout as sleep } from 'node:timers/promises'
import { SkyPilotError } from './errors.ts'

const FIRST_PAUSE_MS = 250
const PAUSE_MS_MAX = 10_000

/** Questions that the server takes as POST: asked twice they change nothing, unlike anything that is not named here. */
const READS: ReadonlySet<string> = new Set([
  '/status',
  '/endpoints',
  '/cluster_events',
  '/cost_report',
  '/queue',
  '/job_status',
  '/jobs/queue',
  '/jobs/queue/v2',
  '/jobs/events',
  '/serve/status',
  '/jobs/pool_status',
  '/check',
  '/validate',
  '/list_accelerators',
  '/list_accelerator_counts',
  '/kubernetes_node_info',
  '/realtime_kubernetes_gpu_availability',
  '/slurm_gpu_availability',
  '/slurm_node_info',
])

/** Whether a call only asks, so that it may be repeated when its answer was lost. */
export const isRead = (method: 'GET' | 'POST', path: string): boolean =>
  method === 'GET' || READS.has(path.split('?')[0] ?? '')

/**
 * Does a piece of work again while the server cannot be reached, with growing pauses or those that the server asks for,
 * until the next pause would end after the budget.
 * @throws what the work last threw
 */
export async function withRetries<T>(
  work: () => Promise<T>,
  { budgetMs, signal }: { budgetMs: number; signal?: AbortSignal | undefined },
): Promise<T> {
  const startedAtMs = performance.now()
  for (let attempt = 0; ; attempt += 1)
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof SkyPilotError) || error.kind !== 'unreachable') throw error
      const ownMs = Math.min(FIRST_PAUSE_MS * 2 ** attempt, PAUSE_MS_MAX)
      // Half of it by chance, so that many clients do not come back in the same instant.
      const pauseMs = error.retryAfterMs ?? ownMs / 2 + (Math.random() * ownMs) / 2
      if (performance.now() - startedAtMs + pauseMs > budgetMs) throw error
      await pause(pauseMs, signal)
    }
}

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await sleep(ms, undefined, signal ? { signal } : {})
  } catch (error) {
    throw signal?.aborted ? signal.reason : error
  }
}
