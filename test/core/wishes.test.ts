import { expect, test } from 'vitest'
import { accept, type Wish, WISHES } from '../../core/accept.ts'
import { decide } from '../../core/decide.ts'
import { isFact } from '../../core/guards.ts'
import { UNDECODABLE } from '../../core/receipt.ts'
import { after, ended, fresh, launched, onCluster, seen, T, want, wish } from '../support/experiments.ts'

test.each<[Wish['kind'], unknown, string]>([
  ['setDesiredState', 'running', 'desired state must be one of'],
  ['setDesiredState', null, 'desired state must be one of'],
  ['setDesiredState', [], 'desired state must be one of'],
  ['setDesiredState', { state: 'PAUSED' }, 'desired state must be one of'],
  ['setDesiredState', { state: 'RUNNING', ifRevision: 9 }, 'it changed meanwhile'],
  ['setFlags', { 'bad key': 1 }, 'flag name'],
  ['edit', {}, 'an edit must be'],
  ['edit', { name: '9x', spec: {} }, 'a name starts with a letter'],
  ['edit', { spec: { nodes: 0 } }, 'field nodes'],
  ['edit', { spec: { colour: 1 } }, 'a spec has no field'],
  ['edit', { policy: { priority: 9 } }, 'priority must'],
  ['edit', { policy: { restart: { when: 'sometimes' } } }, 'when must'],
  ['adopt', {}, 'name a jobId or a clusterName'],
  ['adopt', { jobId: -1 }, 'jobId must be'],
  ['confirmGone', {}, 'say in "reason"'],
  ['confirmGone', { reason: 'looked' }, 'nothing of it is believed to run'],
])('rows 21, 28: refuses %s %j and counts it', (kind, value, reason) => {
  const [state, receipt] = accept(fresh(), { kind, value }, T)
  expect(receipt).toMatchObject({ accepted: false, reason: expect.stringContaining(reason) as string })
  expect(state).toEqual({ ...fresh(), badMessages: 1, lastRefusal: receipt.accepted ? null : receipt.reason })
})

test('row 21: a wish that knows the generation is taken, and the same again from a stale page is refused', () => {
  const [state, receipt] = accept(
    fresh(),
    { kind: 'setDesiredState', value: { state: 'RUNNING', ifRevision: 0 } },
    T,
  )
  expect(receipt).toMatchObject({ accepted: true, generation: 1 })
  expect(
    accept(state, { kind: 'setDesiredState', value: { state: 'STOPPED', ifRevision: 0 } }, T)[1].accepted,
  ).toBe(false)
})

test('row 27: a spec that is too long to be carried is refused', () => {
  const [, receipt] = accept(fresh(), { kind: 'edit', value: { spec: { setup: 'x'.repeat(70_000) } } }, T)
  expect(receipt).toMatchObject({
    accepted: false,
    reason: expect.stringContaining('characters long') as string,
  })
})

test.each<[string, unknown]>([
  ['no fact', {}],
  ['a fact of the inside', { kind: 'jobFound', jobId: 1, atMs: T }],
  ['a look without a status', { ...seen(7, 'RUNNING'), observation: { jobId: 7 } }],
  ['a cluster without a time', { kind: 'clusterSeen', cluster: { name: 'c', status: 'UP' } }],
  ['a job id that is text', { kind: 'vanished', jobId: '7', jobName: 'x', atMs: T }],
  ['nothing', null],
])('row 28: %s is not believed as an observation', (_, value) => {
  expect(isFact(value)).toBe(false)
})

test('an edit of what runs says what holds now and what at the next run', () => {
  const [state, receipt] = accept(
    launched(),
    { kind: 'edit', value: { spec: { nodes: 2 }, policy: { priority: 1 } } },
    T,
  )
  expect(receipt).toMatchObject({ accepted: true, applies: { now: ['priority'], nextRun: ['nodes'] } })
  expect(state).toMatchObject({ spec: { nodes: 2 }, specRevision: 2, attempt: { specRevision: 1 } })
})

test('an edit that changes nothing is taken, and leaves no trace', () => {
  const running = launched()
  const { spec, policy, name } = running
  const [state, receipt] = accept(running, { kind: 'edit', value: { name, spec, policy } }, T)
  expect(receipt).toMatchObject({ accepted: true, applies: { now: [], nextRun: [] } })
  expect(state).toBe(running)
})

test('cancelJob is STOPPED under another name', () => {
  expect(wish(launched(), 'cancelJob', { actor: 'bob' }).desired).toMatchObject({
    state: 'STOPPED',
    actor: 'bob',
  })
})

test('row 20: what is deleted is cleaned up first, takes no wish but its undoing, and then ends', () => {
  const deleted = wish(launched(), 'delete', { actor: 'ann' })
  expect(decide(deleted, T)).toMatchObject({ kind: 'cancel', job: { jobId: 7 } })
  expect(accept(deleted, { kind: 'setDesiredState', value: 'RUNNING' }, T)[1].accepted).toBe(false)
  expect(decide(after(deleted, seen(7, 'CANCELLED', { scheduleState: 'DONE' })), T)).toMatchObject({
    kind: 'finish',
  })
  expect(decide(wish(onCluster(), 'delete'), T)).toMatchObject({ kind: 'cluster', verb: 'down' })
  expect(decide(want(wish(deleted, 'undelete'), 'RUNNING'), T)).toMatchObject({
    kind: 'cancel',
    why: 'stopping: a newer run replaces it',
  })
})

test('nothing ends while a second job may live', () => {
  const two = wish(after(launched(), seen(9, 'RUNNING')), 'delete')
  const first = after(two, seen(7, 'CANCELLED', { scheduleState: 'DONE' }), {
    kind: 'cancelAsked',
    job: { jobId: 9, jobName: 'exp-1.1.1', clusterName: null },
    atMs: T,
  })
  expect(decide(first, T).kind).toBe('wait')
  expect(decide(after(first, seen(9, 'CANCELLED')), T).kind).toBe('finish')
})

test('a person who looked ends what SkyPilot cannot be asked about', () => {
  const gone = wish(onCluster(), 'confirmGone', { actor: 'ann', reason: 'looked at the console' })
  expect(gone).toMatchObject({
    cluster: null,
    strays: [],
    attempt: { progress: { verdict: { outcome: 'lost', status: 'CONFIRMED_GONE' } } },
  })
})

test('an adopted job is a run that was wanted, and its cluster comes with it', () => {
  const state = wish(fresh(), 'adopt', { jobId: 3, jobName: 'theirs', clusterName: 'c' })
  expect(state).toMatchObject({
    run: 1,
    desired: { state: 'RUNNING' },
    cluster: { name: 'c' },
    attempt: { jobName: 'theirs', progress: { phase: 'active', jobId: 3 } },
  })
  expect(accept(state, { kind: 'adopt', value: { jobId: 4, jobName: 'x' } }, T)[1].accepted).toBe(false)
})

test('an adopted cluster is kept, and nothing is launched on it until somebody starts a run', () => {
  const state = wish(ended('SUCCEEDED'), 'adopt', { clusterName: 'c' })
  expect(decide(state, T)).toMatchObject({
    kind: 'wait',
    why: 'cluster c was adopted; nothing was launched on it',
  })
  expect(decide(want(state, 'TERMINATED'), T)).toMatchObject({ kind: 'cluster', verb: 'down', name: 'c' })
})

test.each(WISHES)('a %s whose bytes cannot be decoded is refused', (kind) => {
  const state = launched()
  const [next, receipt] = accept(state, { kind, value: UNDECODABLE }, T)
  expect(receipt).toMatchObject({
    accepted: false,
    reason: expect.stringContaining('cannot be decoded') as string,
  })
  expect(next).toEqual({ ...state, badMessages: 1, lastRefusal: next.lastRefusal })
})
