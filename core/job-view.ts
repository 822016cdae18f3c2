import { type JobView, NEVER } from './experiment.ts'
import type { Observation } from './facts.ts'

/** A job that is known to exist and was not looked at yet: any look at it is newer, also one that began earlier. */
export const unseen = (atMs: number): JobView => ({
  status: 'PENDING',
  statusSinceMs: atMs,
  details: null,
  submittedAtMs: atMs,
  startedAtMs: null,
  endedAtMs: null,
  recoveries: 0,
  runningSinceMs: null,
  seenAtMs: NEVER,
})

/** What is known of a job once it was seen again: what the look does not tell is kept. */
export function viewOf(before: JobView, seen: Observation): JobView {
  const isSameStatus = before.status === seen.status
  return {
    status: seen.status,
    statusSinceMs: isSameStatus ? before.statusSinceMs : seen.seenAtMs,
    details: seen.details,
    submittedAtMs: seen.submittedAtMs ?? before.submittedAtMs,
    startedAtMs: seen.startedAtMs ?? before.startedAtMs,
    endedAtMs: seen.endedAtMs ?? before.endedAtMs,
    recoveries: Math.max(seen.recoveries, before.recoveries),
    runningSinceMs: before.runningSinceMs ?? (seen.status === 'RUNNING' ? seen.seenAtMs : null),
    seenAtMs: seen.seenAtMs,
  }
}
