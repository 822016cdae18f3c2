import type { Phase } from './explain.ts'

/**
 * What a phase means for whoever asks whether something of an experiment is there: `rest`, nothing is and nothing was
 * wanted further; `queued`, a launch waits for its turn; `live`, something may be on SkyPilot's machines; `pause`, the next
 * attempt comes by itself; `over`, the run that was wanted is at its end.
 */
type Stage = 'rest' | 'queued' | 'live' | 'pause' | 'over'

const STAGES: Readonly<Record<Phase, Stage>> = {
  idle: 'rest',
  queued: 'queued',
  starting: 'live',
  waiting: 'live',
  running: 'live',
  recovering: 'live',
  backoff: 'pause',
  stopping: 'live',
  finishing: 'live',
  succeeded: 'over',
  failed: 'over',
  lost: 'over',
  stopped: 'rest',
  terminated: 'rest',
}

/** Something of it may be on SkyPilot's machines. */
export const isLive = (phase: Phase): boolean => STAGES[phase] === 'live'

/** The same, or is about to be. */
export const mayRun = (phase: Phase): boolean => isLive(phase) || STAGES[phase] === 'queued'

/** The run that was wanted is at its end: wishing it again begins another. */
export const isOver = (phase: Phase): boolean => STAGES[phase] === 'over'

/** Another wish for RUNNING does something: the run is over or about to be, or waits before its next attempt. */
export const takesRunAgain = (phase: Phase): boolean =>
  isOver(phase) || STAGES[phase] === 'pause' || phase === 'finishing' || phase === 'stopping'
