import { expect, test } from 'vitest'
import { decide } from '../../core/decide.ts'
import { transientOf } from '../../core/deadlines.ts'
import type { Experiment } from '../../core/experiment.ts'
import { explain } from '../../core/explain.ts'
import { nextLimitMs, sayDuration, whyOverLimit } from '../../core/limits.ts'
import type { Policy } from '../../core/policy.ts'
import {
  after,
  ended,
  found,
  intended,
  launched,
  policyWith,
  requested,
  seen,
  T,
  want,
} from '../support/experiments.ts'

const restarting = policyWith(
  {},
  { when: 'on-failure', backoffMs: 10_000, backoffMaxMs: 80_000, maxRestarts: 8, healthyMs: 60_000 },
)
const LATER = T + 1e9

test.each<[string, Experiment, string]>([
  ['a failure of the code under on-failure', ended('FAILED', null, restarting), 'launch'],
  ['a success under on-failure', ended('SUCCEEDED', null, restarting), 'wait'],
  ['a success under always', ended('SUCCEEDED', null, policyWith({}, { when: 'always' })), 'launch'],
  ['a failure under never', ended('FAILED'), 'wait'],
  [
    'a failure of the machines where only the code is tried again',
    ended('FAILED_NO_RESOURCE', null, policyWith({}, { when: 'on-failure', failures: 'code' })),
    'wait',
  ],
  [
    'a failure of the machines where only those are tried again',
    ended('FAILED_NO_RESOURCE', null, policyWith({}, { when: 'on-failure', failures: 'infrastructure' })),
    'launch',
  ],
  [
    'an exit code that is listed',
    ended('FAILED', 'Job exited with exit code 7', policyWith({}, { when: 'on-failure', exitCodes: [7] })),
    'launch',
  ],
  [
    'an exit code that is not',
    ended('FAILED', 'Job exited with exit code 8', policyWith({}, { when: 'on-failure', exitCodes: [7] })),
    'wait',
  ],
  [
    'row 17: a cancel by somebody else, where a person is asked',
    ended('CANCELLED', null, restarting),
    'wait',
  ],
  [
    'row 17: a cancel by somebody else, where it is healed',
    ended('CANCELLED', null, policyWith({ drift: 'heal' })),
    'launch',
  ],
  [
    'row 17: a cancel by somebody else, where that stops it',
    ended('CANCELLED', null, policyWith({ drift: 'stop' })),
    'conclude',
  ],
])('after %s', (_, state, kind) => {
  expect(decide(state, LATER).kind).toBe(kind)
})

function fail(state: Experiment, attempt: number, ranMs: number): Experiment {
  const jobName = `exp-1.1.${attempt}`
  const startedAtMs = T
  return after(
    state,
    intended,
    requested,
    found(attempt),
    seen(attempt, 'RUNNING', { jobName, startedAtMs }),
    seen(attempt, 'FAILED', {
      jobName,
      startedAtMs,
      endedAtMs: T + ranMs,
      scheduleState: 'DONE',
      seenAtMs: T + ranMs,
    }),
  )
}

const crashed = (policy: Policy, times: number): Experiment => {
  let state = want(launched('managed', policy), 'RUNNING')
  state = after(state, seen(7, 'FAILED', { scheduleState: 'DONE' }))
  for (let attempt = 2; attempt <= times; attempt += 1) state = fail(state, attempt, 100)
  return state
}

test('row 50: the time between restarts doubles up to its limit, with up to a quarter taken off', () => {
  for (let times = 1; times <= 6; times += 1) {
    const state = crashed(restarting, times)
    const action = decide(state, T)
    const full = Math.min(10_000 * 2 ** (times - 1), 80_000)
    const overAtMs = state.attempt?.progress.phase === 'ended' ? state.attempt.progress.overAtMs : 0
    const waits = action.kind === 'wait' && action.untilMs !== null ? action.untilMs - overAtMs : 0
    expect(waits).toBeGreaterThanOrEqual(full * 0.75)
    expect(waits).toBeLessThanOrEqual(full)
  }
})

test('row 50: a crash loop is called one, and the number of restarts is limited', () => {
  expect(explain(crashed(restarting, 2), T)).toMatchObject({ phase: 'backoff', headline: 'backoff' })
  expect(explain(crashed(restarting, 5), T)).toMatchObject({ phase: 'backoff', headline: 'crash-loop' })
  const last = crashed(restarting, 9)
  expect(decide(last, LATER)).toMatchObject({
    kind: 'wait',
    why: 'your code failed; restarted 8 times, which is the limit',
  })
})

test('an attempt that was healthy begins the counts anew', () => {
  expect(fail(crashed(restarting, 4), 5, 60_000)).toMatchObject({ quickFailures: 0, restarts: 0 })
})

test('RUNNING while it waits for a restart does not wait any longer', () => {
  expect(decide(want(crashed(restarting, 5), 'RUNNING'), T)).toMatchObject({ kind: 'launch' })
})

test('the running time of an attempt and the age of a run are limited, and what passed a limit is cancelled and over', () => {
  const running = after(
    launched('managed', policyWith({ maxRunMs: 60_000, maxAgeMs: 90_000 })),
    seen(7, 'RUNNING', { seenAtMs: T + 20_000 }),
  )
  expect(nextLimitMs(running)).toBe(T + 80_000)
  expect(whyOverLimit(running, T + 80_000)).toBe('it ran for 1 min, which is its limit')
  expect(decide(running, T + 80_000)).toMatchObject({ kind: 'conclude', conclusion: 'limit' })
  const closed = after(running, {
    kind: 'concluded',
    conclusion: 'limit',
    reason: 'it ran for 1 min',
    atMs: T + 80_000,
  })
  expect(decide(closed, T + 80_000)).toMatchObject({ kind: 'cancel', why: 'stopping: it ran for 1 min' })
  const over = after(closed, seen(7, 'CANCELLED', { scheduleState: 'DONE', seenAtMs: T + 81_000 }))
  expect(explain(over, LATER)).toMatchObject({ headline: 'limit', phase: 'failed' })
  expect(decide(want(over, 'RUNNING', LATER), LATER)).toMatchObject({ kind: 'launch' })
})

test('row 43: a limit counts by the earlier of the two clocks, and no duration is below nothing', () => {
  const ahead = after(
    launched('managed', policyWith({ maxRunMs: 60_000 })),
    seen(7, 'RUNNING', { seenAtMs: T + 1_000, startedAtMs: T + 3_600_000 }),
  )
  expect(nextLimitMs(ahead)).toBe(T + 61_000)
  const back = after(
    launched('managed', restarting),
    seen(7, 'FAILED', { startedAtMs: T + 10, endedAtMs: T, scheduleState: 'DONE' }),
  )
  expect(back.quickFailures).toBe(1)
})

test('drift of policy stop makes STOPPED the wish, in the name of SkyDeck', () => {
  const stopped = after(ended('CANCELLED', null, policyWith({ drift: 'stop' })), {
    kind: 'concluded',
    conclusion: 'drift',
    reason: 'somebody cancelled it',
    atMs: T,
  })
  expect(stopped.desired).toMatchObject({ state: 'STOPPED', actor: 'skydeck', generation: 2 })
})

test.each([
  ['PENDING', 30],
  ['STARTING', 60],
  ['RECOVERING', 60],
  ['INIT', 15],
  ['SETTING_UP', 60],
])('a job that is %s for more than %d min is overdue, and people are told what to do', (status, minutes) => {
  const state = after(launched(), seen(7, status, { seenAtMs: T + 1 }))
  const passing = transientOf(state)
  expect((passing?.deadlineMs ?? 0) - (passing?.sinceMs ?? 0)).toBe(minutes * 60_000)
  expect(explain(state, T + minutes * 60_000 + 2)).toMatchObject({ headline: 'overdue', next: passing?.next })
})

test.each([
  [1_500, '1 s'],
  [5_400_000, '1 h 30 min'],
  [90_061_000, '1 d 1 h'],
  [12, '12 ms'],
])('%d ms are said as %s', (ms, words) => {
  expect(sayDuration(ms)).toBe(words)
})
