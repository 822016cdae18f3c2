import type { Phase } from '../core/explain.ts'
import type { DesiredState } from '../core/spec.ts'

interface Stand {
  desiredState: DesiredState
  phase: Phase
  clusterName: string | null
  clusterStatus: string | null
}

const OVER: ReadonlySet<Phase> = new Set(['succeeded', 'failed', 'lost'])

/** Another wish for RUNNING does something: the run is over, or waits before its next attempt. */
const takesRunAgain = (phase: Phase): boolean => OVER.has(phase) || phase === 'backoff'

const hasClusterUp = ({ clusterName, clusterStatus }: Stand): boolean =>
  clusterName !== null && clusterStatus !== 'STOPPED'

/** Why a wish cannot be made now; undefined when it can. One table for every button. */
export const whyNot: Readonly<Record<DesiredState, (of: Stand) => string | undefined>> = {
  RUNNING: ({ desiredState, phase }) =>
    desiredState === 'RUNNING' && !takesRunAgain(phase) ? 'RUNNING is wanted already' : undefined,
  STOPPED: (of) => {
    if (of.desiredState === 'STOPPED') return 'STOPPED is wanted already'
    return of.desiredState === 'RUNNING' && OVER.has(of.phase) && !hasClusterUp(of)
      ? 'nothing is running'
      : undefined
  },
  TERMINATED: ({ desiredState }) =>
    desiredState === 'TERMINATED' ? 'TERMINATED is wanted already' : undefined,
}

/** What the button says. Starting something that has run before is another run, and says so. */
export const verb = (state: DesiredState, of: Stand & { run: number }): string => {
  if (state === 'STOPPED') return 'Stop'
  if (state === 'TERMINATED') return 'Terminate'
  if (of.phase === 'backoff') return 'Start now'
  return of.run > 0 ? 'Run again' : 'Start'
}

const QUIET: ReadonlySet<Phase> = new Set([
  'idle',
  'backoff',
  'succeeded',
  'failed',
  'lost',
  'stopped',
  'terminated',
])

/** True while a job or a launch of it is believed to be there. */
export const mayRun = (phase: Phase): boolean => !QUIET.has(phase)

export const whyNotConfirm = (of: Stand): string | undefined =>
  mayRun(of.phase) || of.clusterName !== null ? undefined : 'nothing of it is believed to run'

export const whyNotAdopt = ({ phase }: Stand): string | undefined =>
  mayRun(phase) ? 'something of it runs already: stop it first' : undefined
