import type { Phase } from '../core/explain.ts'
import type { DesiredState } from '../core/spec.ts'

type Stand = { desiredState: DesiredState; phase: Phase }

const OVER: ReadonlySet<Phase> = new Set(['succeeded', 'failed'])

/** Why a wish cannot be made now; undefined when it can. One table for every button. */
export const whyNot: Readonly<Record<DesiredState, (of: Stand) => string | undefined>> = {
  RUNNING: ({ desiredState, phase }) =>
    desiredState === 'RUNNING' && !OVER.has(phase) ? 'RUNNING is wanted already' : undefined,
  STOPPED: ({ desiredState, phase }) => {
    if (desiredState === 'STOPPED') return 'STOPPED is wanted already'
    return desiredState === 'RUNNING' && OVER.has(phase) ? 'nothing is running' : undefined
  },
  TERMINATED: ({ desiredState }) =>
    desiredState === 'TERMINATED' ? 'TERMINATED is wanted already' : undefined,
}

/** What the button says. Starting something that has run before is another run, and says so. */
export const verb = (state: DesiredState, of: Stand & { run: number }): string => {
  if (state === 'STOPPED') return 'Stop'
  if (state === 'TERMINATED') return 'Terminate'
  return of.run > 0 ? 'Run again' : 'Start'
}
