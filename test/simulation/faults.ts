import type { Random } from './random.ts'

/** How badly the world behaves. Probabilities are per call or look; means are times between two such events, 0 for never. */
export interface Faults {
  dropBefore: number
  dropAfter: number
  /** The caller gives up, and the request arrives all the same some time later. */
  late: number
  resultLost: number
  serverKillMeanMs: number
  /** That a killed server leaves behind the processes that do its work. */
  executorsSurvive: number
  serverAwayMeanMs: number
  workerCrashMeanMs: number
  workerFreezeMeanMs: number
  databaseAwayMeanMs: number
  staleListing: number
  partialListing: number
  emptyListing: number
  wrongScope: number
  unknownStatus: number
  preemptionMeanMs: number
  launchRefused: number
  slowLaunch: number
  cancelIgnored: number
  stopUnsupported: number
  outsideCancelMeanMs: number
  outsideDownMeanMs: number
  foreignJobMeanMs: number
  garbageMeanMs: number
  projectionAgain: number
  factsAgain: number
  jobFails: number
  /** That the way to the machines breaks while a job is brought to them: it may be there, and its launch is called failed. */
  launchBreaks: number
  /** That a job which succeeded is told to have failed before it is cleaned up. */
  lateVerdict: number
}

const FULL: Readonly<Faults> = {
  dropBefore: 0.2,
  dropAfter: 0.2,
  late: 0.1,
  resultLost: 0.2,
  serverKillMeanMs: 900_000,
  executorsSurvive: 1,
  serverAwayMeanMs: 1_200_000,
  workerCrashMeanMs: 600_000,
  workerFreezeMeanMs: 600_000,
  databaseAwayMeanMs: 1_200_000,
  staleListing: 0.2,
  partialListing: 0.2,
  emptyListing: 0.1,
  wrongScope: 0.1,
  unknownStatus: 0.1,
  preemptionMeanMs: 600_000,
  launchRefused: 0.2,
  slowLaunch: 0.3,
  cancelIgnored: 0.3,
  stopUnsupported: 0.2,
  outsideCancelMeanMs: 1_200_000,
  outsideDownMeanMs: 1_800_000,
  foreignJobMeanMs: 2_400_000,
  garbageMeanMs: 120_000,
  projectionAgain: 0.3,
  factsAgain: 0.2,
  jobFails: 0.5,
  lateVerdict: 0.3,
  launchBreaks: 0.3,
}

/** Each seed has faults of its own: some of them, each more or less strong. All at once hide one another. */
export function swarm(random: Random): Faults {
  const faults = { ...FULL }
  for (const key of Object.keys(FULL) as Array<keyof Faults>) {
    const isOn = random.chance(0.5)
    const strength = 0.1 + 0.9 * random.unit()
    if (!isOn) faults[key] = 0
    else faults[key] = key.endsWith('MeanMs') ? FULL[key] / strength : FULL[key] * strength
  }
  return faults
}

/** A world in which nothing goes wrong. */
export const healed = (): Faults => {
  const faults = { ...FULL }
  for (const key of Object.keys(FULL) as Array<keyof Faults>) faults[key] = 0
  return faults
}

/** What protects. Each can be taken away, to see that something notices. */
export interface Protections {
  lookBeforeLaunch: boolean
  fence: boolean
  twoLooks: boolean
  staleGuard: boolean
  messageGuards: boolean
  revisionGuard: boolean
  settleAfterForgotten: boolean
  /** A cluster in the making counts as a sign of a launch that SkyPilot forgot. */
  waitForMaking: boolean
  /** Before a failed launch is believed its job is looked for. */
  failureDoubted: boolean
  messagesDrained: boolean
  stateCarriedWhole: boolean
  verdictKept: boolean
  ownership: boolean
}

export const ALL_PROTECTIONS: Readonly<Protections> = {
  lookBeforeLaunch: true,
  fence: true,
  twoLooks: true,
  staleGuard: true,
  messageGuards: true,
  revisionGuard: true,
  settleAfterForgotten: true,
  waitForMaking: true,
  failureDoubted: true,
  messagesDrained: true,
  stateCarriedWhole: true,
  verdictKept: true,
  ownership: true,
}
