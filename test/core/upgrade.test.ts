import { expect, test } from 'vitest'
import { decide } from '../../core/decide.ts'
import { upgrade } from '../../core/upgrade.ts'
import { after, launched, seen, specWith, T, want } from '../support/experiments.ts'

/** A state as the first version wrote it: managed jobs only, no policies, cancels as one time. */
function first(
  progress: Record<string, unknown>,
  over: Record<string, unknown> = {},
): Record<string, unknown> {
  const { executor: _, ...spec } = specWith()
  return {
    v: 1,
    id: 1,
    name: 'exp',
    spec,
    specRevision: 3,
    desired: { state: 'RUNNING', generation: 4, actor: 'ann', reason: null, atMs: T },
    run: 2,
    attempt: {
      run: 2,
      attempt: 1,
      jobName: 'exp-1.2.1',
      specRevision: 3,
      command: 'echo',
      createdAtMs: T,
      progress,
      changedAt: 9,
    },
    past: [],
    strays: [],
    deleted: false,
    trouble: null,
    revision: 9,
    projected: 9,
    events: [],
    nextSeq: 5,
    badMessages: 0,
    lastRefusal: null,
    ...over,
  }
}

const job = {
  status: 'RUNNING',
  details: null,
  submittedAtMs: T,
  startedAtMs: T,
  endedAtMs: null,
  recoveries: 0,
  seenAtMs: T,
}
const verdict = {
  outcome: 'succeeded',
  blame: 'none',
  status: 'SUCCEEDED',
  exitCode: 0,
  reason: null,
  atMs: T,
}

test.each([
  ['intended', { phase: 'intended', looksEmpty: 0, unsure: true }, 'launch'],
  ['requested', { phase: 'requested', requestId: 'r' }, 'follow'],
  ['active', { phase: 'active', jobId: 7, job, cancelAskedAtMs: null, verdict: null }, 'wait'],
  ['ended', { phase: 'ended', jobId: 7, job, verdict }, 'wait'],
])('P7: a state of the first version whose attempt is %s goes on where it was', (phase, progress, action) => {
  const state = upgrade(JSON.parse(JSON.stringify(first(progress))))
  expect(state).toMatchObject({
    v: 2,
    owner: 'ann',
    spec: { executor: 'managed' },
    attempt: { clusterName: null, progress: { phase } },
  })
  if (!state) throw new Error('it cannot be read')
  expect(decide(state, T + 60_000).kind).toBe(action)
  expect(JSON.parse(JSON.stringify(state))).toEqual(state)
})

test('P7: a cancel that the first version had asked for, and its second jobs, are asked for again', () => {
  const state = upgrade(
    first({ phase: 'active', jobId: 7, job, cancelAskedAtMs: T, verdict: null }, { strays: [9] }),
  )
  if (!state) throw new Error('it cannot be read')
  expect(decide(state, T)).toMatchObject({ kind: 'cancel', job: { jobId: 9, clusterName: null } })
  const asked = after(
    want(state, 'STOPPED'),
    { kind: 'cancelAsked', job: { jobId: 9, jobName: '', clusterName: null }, atMs: T },
    seen(9, 'CANCELLED', { jobName: 'exp-1.1.1' }),
  )
  expect(asked).toMatchObject({ strays: [], attempt: { progress: { cancel: { sinceMs: T, askedAtMs: T } } } })
})

test('a state of now is taken as it is, and what is no state is none', () => {
  expect(upgrade(launched())).toEqual(launched())
  for (const value of [null, 7, {}, { v: 3 }, { ...launched(), id: 'x' }, { v: 1 }])
    expect(upgrade(value)).toBeUndefined()
})
