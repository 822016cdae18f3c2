import type { Phase } from '../core/explain.ts'
import { isOver, mayRun, takesRunAgain } from '../core/phases.ts'
import type { DesiredState } from '../core/spec.ts'

interface Stand {
  desiredState: DesiredState
  phase: Phase
  clusterName: string | null
  clusterStatus: string | null
}

const hasClusterUp = ({ clusterName, clusterStatus }: Stand): boolean =>
  clusterName !== null && clusterStatus !== 'STOPPED'

/** Why a wish cannot be made now; undefined when it can. One table for every button. */
export const whyNot: Readonly<Record<DesiredState, (of: Stand) => string | undefined>> = {
  RUNNING: ({ desiredState, phase }) =>
    desiredState === 'RUNNING' && !takesRunAgain(phase) ? 'RUNNING is wanted already' : undefined,
  STOPPED: (of) => {
    if (of.desiredState === 'STOPPED') return 'STOPPED is wanted already'
    return of.desiredState === 'RUNNING' && isOver(of.phase) && !hasClusterUp(of)
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

export const whyNotConfirm = (of: Stand): string | undefined =>
  mayRun(of.phase) || of.clusterName !== null ? undefined : 'nothing of it is believed to run'

export const whyNotAdopt = ({ phase }: Stand): string | undefined =>
  mayRun(phase) ? 'something of it runs already: stop it first' : undefined
