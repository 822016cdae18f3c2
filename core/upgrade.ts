import type { Attempt, Experiment, JobView, Progress } from './experiment.ts'
import { isExperiment } from './guards.ts'
import { DEFAULT_POLICY } from './policy.ts'
import { isRecord } from './spec.ts'

/**
 * Reads a state as any earlier version wrote it. Undefined for what is no state at all.
 * A version is added here in the same change that moves `v`, and its cases stay for as long as such states may exist.
 */
export function upgrade(value: unknown): Experiment | undefined {
  if (isExperiment(value)) return value
  if (!isRecord(value) || value['v'] !== 1) return undefined
  const second = fromFirst(value)
  return isExperiment(second) ? second : undefined
}

/** Version 1 knew managed jobs only, and no policies. */
function fromFirst(old: Record<string, unknown>): Record<string, unknown> {
  const desired = isRecord(old['desired']) ? old['desired'] : {}
  const sinceMs = typeof desired['atMs'] === 'number' ? desired['atMs'] : 0
  return {
    ...old,
    v: 2,
    owner: typeof desired['actor'] === 'string' ? desired['actor'] : 'unknown',
    spec: isRecord(old['spec']) ? { executor: 'managed', ...old['spec'] } : old['spec'],
    policy: DEFAULT_POLICY,
    runSinceMs: sinceMs,
    attempt: attemptOf(old['attempt'], sinceMs),
    past: Array.isArray(old['past']) ? old['past'].map((attempt) => attemptOf(attempt, sinceMs)) : [],
    quickFailures: 0,
    restarts: 0,
    closing: null,
    cluster: null,
    strays: Array.isArray(old['strays'])
      ? old['strays'].map((jobId: unknown) => ({
          jobId,
          jobName: '',
          clusterName: null,
          asks: 0,
          askedAtMs: 0,
        }))
      : [],
    foreign: [],
    hold: null,
    trouble: null,
    told: { headline: '', why: '', sinceMs },
  }
}

function attemptOf(old: unknown, atMs: number): unknown {
  if (!isRecord(old) || !isRecord(old['progress'])) return null
  const added: Pick<Attempt, 'clusterName'> = { clusterName: null }
  return { ...old, ...added, progress: progressOf(old['progress'], atMs) }
}

type Added<P extends Progress['phase']> = Partial<Extract<Progress, { phase: P }>>

function progressOf(old: Record<string, unknown>, atMs: number): Record<string, unknown> {
  const job = isRecord(old['job']) ? { ...old['job'], ...jobAdded(old['job'], atMs) } : null
  switch (old['phase']) {
    case 'intended':
      return { ...old, ...({ settledAtMs: atMs } satisfies Added<'intended'>) }
    case 'requested':
      return { ...old, ...({ sinceMs: atMs } satisfies Added<'requested'>) }
    case 'active': {
      const { cancelAskedAtMs: askedAtMs, ...kept } = old
      const cancel = typeof askedAtMs === 'number' ? { sinceMs: askedAtMs, askedAtMs } : null
      return { ...kept, job, ...({ cancel } satisfies Added<'active'>) }
    }
    default:
      return { ...old, job, ...({ overAtMs: atMs } satisfies Added<'ended'>) }
  }
}

const jobAdded = (job: Record<string, unknown>, atMs: number): Partial<JobView> => ({
  statusSinceMs: atMs,
  runningSinceMs: job['status'] === 'RUNNING' ? atMs : null,
})
