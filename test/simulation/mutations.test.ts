import { expect, test } from 'vitest'
import type { Faults, Protections } from './faults.ts'
import { World } from './world.ts'

/** Which protection is taken away, what the world does often then, and which invariants may notice it first. */
const MUTATIONS: ReadonlyArray<
  [protection: keyof Protections, invariants: readonly string[], faults: Partial<Faults>]
> = [
  ['lookBeforeLaunch', ['I2', 'I1', 'I1b'], { dropAfter: 0.2, resultLost: 0.2 }],
  ['fence', ['I1'], { late: 0.2 }],
  ['twoLooks', ['I6', 'I1', 'I1b', 'I4'], { emptyListing: 0.3, wrongScope: 0.3 }],
  [
    'staleGuard',
    ['I6', 'I7', 'I1b', 'I4', 'I8'],
    { factsAgain: 0.6, emptyListing: 0.2, outsideDownMeanMs: 600_000 },
  ],
  ['messageGuards', ['I11'], { garbageMeanMs: 60_000 }],
  ['revisionGuard', ['I8'], { projectionAgain: 0.5 }],
  ['settleAfterForgotten', ['I2'], { serverKillMeanMs: 120_000, executorsSurvive: 1, slowLaunch: 1 }],
  ['waitForMaking', ['I2'], { serverKillMeanMs: 60_000, executorsSurvive: 1, slowLaunch: 1 }],
  ['messagesDrained', ['I3'], {}],
  ['stateCarriedWhole', ['I2', 'I4', 'I7', 'I8', 'I1b'], {}],
  ['verdictKept', ['I7'], { lateVerdict: 0.5, jobFails: 0 }],
  ['ownership', ['I14', 'I9'], { foreignJobMeanMs: 120_000 }],
]
const SEEDS_MAX = 25

function firstViolation(protections: Partial<Protections>, faults: Partial<Faults>): string | undefined {
  for (let seed = 1; seed <= SEEDS_MAX; seed += 1) {
    const plan = { seed, experiments: 6, hours: 4, wishMeanMs: 120_000, lookEveryMs: 10_000 }
    const [violation] = new World({ ...plan, protections, faults }).run().violations
    if (violation !== undefined) return violation
  }
  return undefined
}

test.each(MUTATIONS)(
  'without %s one of the invariants %j is broken',
  (protection, invariants, faults) => {
    const violation = firstViolation({ [protection]: false }, faults)
    expect(invariants).toContain(violation?.split(':', 1)[0])
  },
  120_000,
)

test.each(MUTATIONS)(
  'with %s in its place the same worlds break nothing',
  (_protection, _invariants, faults) => {
    for (let seed = 1; seed <= 3; seed += 1) {
      const plan = { seed, experiments: 6, hours: 4, wishMeanMs: 120_000, lookEveryMs: 10_000 }
      expect(new World({ ...plan, faults }).run().violations).toEqual([])
    }
  },
)
