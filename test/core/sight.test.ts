import { describe, expect, test } from 'vitest'
import { PHASES } from '../../core/explain.ts'
import { asSeen, blindSinceMs, CANNOT_SEE, idleIntervalMs, sourceFor } from '../../core/sight.ts'

const T = 1_000_000_000_000
const BLIND = { to: 'SkyPilot', sinceMs: T - 1 } as const

describe('how far we see', () => {
  test.each([
    ['five missed looks, but at least half a minute', 1_000, 30_000],
    ['more than a desk at rest lets pass between two looks', 10_000, 80_000],
    ['five missed looks of a slow interval', 60_000, 300_000],
  ])('%s', (_, intervalMs, patienceMs) => {
    expect(blindSinceMs(T, intervalMs, T + patienceMs)).toBeNull()
    expect(blindSinceMs(T, intervalMs, T + patienceMs + 1)).toBe(T)
  })

  test.each([200, 1_000, 5_000, 10_000, 30_000, 60_000, 300_000])(
    'a look-out that looks every %i ms is not blind while nothing lives and it looks more seldom',
    (intervalMs) => {
      const looksTakeMs = intervalMs
      const lastMs = T + idleIntervalMs(intervalMs) + looksTakeMs
      expect(blindSinceMs(T, intervalMs, lastMs)).toBeNull()
      expect(idleIntervalMs(intervalMs)).toBeGreaterThanOrEqual(intervalMs)
    },
  )

  test('news of a job on a cluster come from its queue, where that is noted for not answering', () => {
    const skypilot = { name: 'skypilot' }
    const queue = { name: 'queue:exp-1' }
    expect(sourceFor([queue, skypilot], 'exp-1')).toBe(queue)
    expect(sourceFor([queue, skypilot], 'exp-2')).toBe(skypilot)
    expect(sourceFor([queue, skypilot], null)).toBe(skypilot)
    expect(sourceFor([], 'exp-1')).toBeUndefined()
  })

  test('what was never seen has nothing to be blind about', () => {
    expect(blindSinceMs(null, 1_000, T)).toBeNull()
  })
})

describe('what is told while we are blind', () => {
  const told = (phase: (typeof PHASES)[number], headline: string = phase) => ({
    phase,
    headline,
    headlineSinceMs: T,
    why: 'as before',
    evidence: ['before'],
    next: null,
    nextAtMs: T,
  })

  test('the phase stays, whatever it is; nothing becomes a failure', () => {
    for (const phase of PHASES) expect(asSeen(told(phase), BLIND).phase).toBe(phase)
  })

  test('what may be on machines is told as not seen, since the last look', () => {
    expect(asSeen(told('running'), BLIND)).toMatchObject({
      headline: CANNOT_SEE,
      headlineSinceMs: T - 1,
      evidence: ['then: as before', 'before'],
    })
  })

  test('what is done about a job on a cluster out of sight is told as it is', () => {
    const blind = { to: 'its cluster', sinceMs: T - 1 } as const
    expect(asSeen(told('running'), blind)).toMatchObject({
      headline: CANNOT_SEE,
      why: 'last seen running; its cluster has not been seen since',
    })
    for (const of of [told('stopping'), told('finishing'), told('running', 'two-jobs')])
      expect(asSeen(of, blind)).toEqual(of)
    expect(asSeen(told('stopping'), BLIND).headline).toBe(CANNOT_SEE)
  })

  test('what rests, waits for its launch or is held is told as it is', () => {
    for (const phase of [
      'idle',
      'queued',
      'backoff',
      'succeeded',
      'failed',
      'stopped',
      'terminated',
    ] as const)
      expect(asSeen(told(phase), BLIND)).toEqual(told(phase))
    expect(asSeen(told('running', 'held'), BLIND)).toEqual(told('running', 'held'))
  })

  test('nothing changes while SkyPilot is in sight', () => {
    expect(asSeen(told('running'), null)).toEqual(told('running'))
  })
})
