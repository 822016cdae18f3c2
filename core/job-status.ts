import type { Blame, Outcome, Refusal, Verdict } from './experiment.ts'

interface Ending {
  outcome: Outcome
  blame: Blame
}

/**
 * SkyPilot's terminal statuses of managed jobs and of jobs on clusters (`ManagedJobStatus`, `JobStatus`). Every other word, also one that we have never
 * heard of, is a live job: taking an unknown word for death would start a second job beside the first.
 */
const ENDINGS: Readonly<Record<string, Ending>> = {
  SUCCEEDED: { outcome: 'succeeded', blame: 'none' },
  CANCELLED: { outcome: 'cancelled', blame: 'none' },
  FAILED: { outcome: 'failed', blame: 'code' },
  FAILED_SETUP: { outcome: 'failed', blame: 'code' },
  FAILED_PRECHECKS: { outcome: 'failed', blame: 'infrastructure' },
  FAILED_NO_RESOURCE: { outcome: 'failed', blame: 'infrastructure' },
  FAILED_CONTROLLER: { outcome: 'failed', blame: 'infrastructure' },
  FAILED_DRIVER: { outcome: 'failed', blame: 'infrastructure' },
}

/** SkyPilot's refusals of a launch that say nothing against what was asked for: another time, or another place, may do. */
const CAPACITY: ReadonlySet<string> = new Set([
  'ResourcesUnavailableError',
  'ResourcesMismatchError',
  'ClusterNotUpError',
  'ClusterDoesNotExist',
  'CommandError',
  'ProvisionTimeoutError',
])

/** Whose fault a refused launch is, by the name of SkyPilot's exception. */
export const blameOfRefusal = (exceptionName: string | null): Blame =>
  exceptionName !== null && CAPACITY.has(exceptionName) ? 'infrastructure' : 'code'

/** The end of a launch that SkyPilot refused, or calls failed. */
export const refusedBy = ({ reason, exceptionName }: Refusal, atMs: number): Verdict => ({
  outcome: 'never-started',
  blame: blameOfRefusal(exceptionName),
  status: 'REFUSED',
  exitCode: null,
  reason,
  atMs,
})

export const endingOf = (status: string): Ending | undefined =>
  Object.hasOwn(ENDINGS, status) ? ENDINGS[status] : undefined

/** SkyPilot says the exit code only in words: "Job exited with exit code 7 (user program failure)". */
export function exitCodeIn(status: string, reason: string | null): number | null {
  if (status === 'SUCCEEDED') return 0
  const match = /exited with exit code (\d{1,3})\b/.exec(reason ?? '')
  return match ? Number(match[1]) : null
}

/** One sentence for people about how it ended. */
export function sayVerdict(verdict: Verdict): string {
  const code = verdict.exitCode === null ? '' : ` with exit code ${verdict.exitCode}`
  switch (verdict.outcome) {
    case 'succeeded':
      return 'finished with exit code 0'
    case 'cancelled':
      return 'the job was cancelled'
    case 'never-started':
      return verdict.reason ?? 'never started'
    case 'lost':
      return `lost from sight: ${verdict.reason ?? 'SkyPilot does not know it any more'}`
    case 'failed':
      return verdict.blame === 'code'
        ? `your code failed${verdict.status === 'FAILED_SETUP' ? ' in setup' : ''}${code}`
        : `the machines failed it (${verdict.status}${verdict.reason ? `: ${firstLine(verdict.reason)}` : ''})`
  }
}

const firstLine = (text: string): string => (text.split('\n', 1)[0] ?? '').slice(0, 200)

/**
 * Whether nothing is left to be cleaned up after a job that has ended. Most come to DONE for that. One that was
 * cancelled before a controller had it stays INACTIVE for ever (`set_pending_cancelled` in `sky/jobs/state.py`, 0.14.1).
 */
export const isCleanedUp = (scheduleState: string | null): boolean =>
  scheduleState === 'DONE' || scheduleState === 'INACTIVE'
