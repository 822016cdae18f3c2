import { expect, test } from 'vitest'
import { healed } from './faults.ts'
import { repeating } from './repeat.ts'
import { type Plan, type Report, World } from './world.ts'

const MINUTE_MS = 60_000
/** One seed repeats what failed: `SIM_SEED=7 npx vitest run --project unit test/simulation`. */
// eslint-disable-next-line node/no-process-env -- a way to repeat one seed, for people
const given = process.env['SIM_SEED']
const SEEDS = given === undefined ? Array.from({ length: 40 }, (_, index) => index + 1) : [Number(given)]

const plan = (seed: number, over: Partial<Plan> = {}): Plan => ({
  seed,
  experiments: 6,
  hours: 6,
  wishMeanMs: 5 * MINUTE_MS,
  lookEveryMs: 10_000,
  ...over,
})

const tell = ({ violations, recent }: Report, small: Plan): string =>
  [...violations, `repeat it: ${repeating(small)} --trace exp`, ...recent.slice(-30)].join('\n')

test.each(SEEDS)(
  'seed %d: every invariant holds after every event, and everything ends as it is wanted',
  (seed) => {
    const small = plan(seed)
    const report = new World(small).run()
    expect(report.violations, tell(report, small)).toEqual([])
  },
)

test('row 16: toggled every few seconds for an hour, it comes to rest as the last wish says, with no launch for most', () => {
  const busy = plan(77, { hours: 1, wishMeanMs: 3_000, experiments: 3 })
  const report = new World(busy).run()
  expect(report.violations, tell(report, busy)).toEqual([])
  expect(report.posts).toBeLessThan(400)
})

test('row 53: two hundred experiments at once go through one SkyPilot that has room for a fifth of them', () => {
  const crowd = plan(5, { hours: 2, experiments: 200, wishMeanMs: 30 * MINUTE_MS, lookEveryMs: 20_000 })
  const report = new World(crowd).run()
  expect(report.violations, tell(report, crowd)).toEqual([])
  expect(report.jobs).toBeGreaterThan(200)
}, 120_000)

test('a launch that is called failed after its job came brings no second one beside it for more than the abort of a launch does', () => {
  const overlapMs = (failureDoubted: boolean): number =>
    Array.from({ length: 8 }, (_, index) => {
      const faults = { ...healed(), launchBreaks: 0.5, jobFails: 0.3 }
      const calm = plan(index + 1, { wishMeanMs: 10 * MINUTE_MS, faults, protections: { failureDoubted } })
      return new World(calm).run().overlaps.reduce((sum, ms) => sum + ms, 0)
    }).reduce((sum, ms) => sum + ms, 0)
  expect(overlapMs(true) * 5).toBeLessThan(overlapMs(false))
}, 60_000)

test('the same seed gives the same trace, event for event', () => {
  const one = new World(plan(42)).run()
  const other = new World(plan(42)).run()
  expect(one.fingerprint).toBe(other.fingerprint)
  expect(one.events).toBe(other.events)
  expect(new World(plan(43)).run().fingerprint).not.toBe(one.fingerprint)
})

test('the seeds together live through every kind of fault', () => {
  const kinds = new Set<string>()
  for (const seed of Array.from({ length: 20 }, (_, index) => index + 1))
    for (const [kind, strength] of Object.entries(
      new World(plan(seed, { hours: 0, experiments: 1 })).run().faults,
    ))
      if (strength > 0) kinds.add(kind)
  const all = Object.keys(new World(plan(1, { hours: 0, experiments: 1 })).run().faults)
  expect([...kinds].toSorted()).toEqual(all.toSorted())
})
