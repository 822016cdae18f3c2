import { expect, test } from 'vitest'
import { type Fault, planFaults } from './faults.ts'
import { Random } from './random.ts'

const FOR_MS = 30 * 60_000

test('the seed alone decides what goes wrong, and when', () => {
  const plan = planFaults(new Random(7), FOR_MS)
  expect(planFaults(new Random(7), FOR_MS)).toEqual(plan)
  expect(planFaults(new Random(8), FOR_MS)).not.toEqual(plan)
})

test('there are 3 to 8 s between two faults, and all kinds of them come', () => {
  const plan = planFaults(new Random(7), FOR_MS)
  const pauses = plan.slice(1).map(({ atMs }, at) => atMs - plan[at]!.atMs)
  expect(Math.min(...pauses)).toBeGreaterThanOrEqual(2_999)
  expect(Math.max(...pauses)).toBeLessThanOrEqual(8_001)
  expect(new Set(plan.map(({ fault }) => fault.kind))).toEqual(
    new Set(['kill', 'freeze', 'link', 'answer', 'garbage', 'outside-cancel']),
  )
})

test('answers to launches are lost several times in three minutes', () => {
  const isLost = (fault: Fault): boolean =>
    fault.kind === 'answer' && fault.match === '/jobs/launch' && fault.how === 'drop-after'
  const plan = planFaults(new Random(7), FOR_MS)
  expect(plan.filter(({ fault }) => isLost(fault)).length).toBeGreaterThanOrEqual(20)
})

test('streams of one seed do not depend on each other', () => {
  const drawn = (random: Random) => Array.from({ length: 5 }, () => random.next())
  const used = new Random(3)
  drawn(used)
  expect(drawn(used.fork('clients'))).toEqual(drawn(new Random(3).fork('clients')))
  expect(drawn(used.fork('faults'))).not.toEqual(drawn(used.fork('clients')))
})
