import { expect, test } from 'vitest'
import type { Action } from '../../core/action.ts'
import { decide } from '../../core/decide.ts'
import type { Experiment } from '../../core/experiment.ts'
import { explain, PHASES } from '../../core/explain.ts'
import { type Headline, HEADLINE_WORDS } from '../../core/headline.ts'
import { snapshotOf } from '../../core/snapshot.ts'
import {
  after,
  clusterSeen,
  ended,
  foreign,
  fresh,
  intended,
  launched,
  onCluster,
  policyWith,
  requested,
  seen,
  T,
  want,
  wish,
} from '../support/experiments.ts'

const wanted = want(fresh(), 'RUNNING')
const failing = (errorKind: string) =>
  ({ kind: 'actionFailed', action: 'launch', errorKind, reason: 'no', atMs: T }) as const
const done = after(onCluster(), seen(7, 'SUCCEEDED', { clusterName: 'exp-1', seenAtMs: T + 5 }))
const gone = { kind: 'vanished', jobId: 7, jobName: 'exp-1.1.1', atMs: T + 1 } as const
const refusedWith = (reason: string): Experiment =>
  after(wanted, intended, { kind: 'launchRefused', reason, exceptionName: 'ValueError', atMs: T })
const retrying = policyWith({}, { when: 'on-failure' })

const STATES: ReadonlyArray<[Headline, string, Experiment]> = [
  ['held', 'queued', wish(after(wanted, intended), 'hold')],
  ['two-jobs', 'waiting', after(launched(), seen(9, 'RUNNING'))],
  ['not-authorised', 'starting', after(wanted, failing('SkyPilot.unauthorized'))],
  ['skypilot-unreachable', 'starting', after(wanted, failing('SkyPilot.unreachable'))],
  ['action-failing', 'starting', after(wanted, failing('SkyPilot.rejected'))],
  [
    'cannot-stop',
    'stopping',
    after(want(done, 'STOPPED'), {
      kind: 'clusterRefused',
      verb: 'stop',
      name: 'exp-1',
      reason: 'no',
      atMs: T,
    }),
  ],
  [
    'overdue',
    'starting',
    after(launched(), seen(7, 'STARTING', { seenAtMs: T - 7_200_000 }), seen(7, 'STARTING')),
  ],
  ['deleting', 'stopping', wish(launched(), 'delete')],
  ['stopping', 'stopping', want(launched(), 'STOPPED')],
  ['foreign-duplicate', 'waiting', after(launched(), foreign(5, 'RUNNING'))],
  ['finishing', 'finishing', after(launched(), seen(7, 'SUCCEEDED'))],
  [
    'launch-unsure',
    'starting',
    after(wanted, intended, { kind: 'launchUnsure', reason: 'gone', isForgotten: true, atMs: T }),
  ],
  // It stands in line as before, and is looked for when its turn comes.
  ['queued', 'queued', after(wanted, intended, { kind: 'launchUnsure', reason: 'interrupted', atMs: T })],
  ['queued', 'queued', after(wanted, intended)],
  ['launching', 'starting', after(wanted, intended, requested)],
  [
    'no-capacity',
    'starting',
    after(launched(), seen(7, 'STARTING', { details: 'ResourcesUnavailableError: no H100' })),
  ],
  ['no-capacity', 'failed', ended('FAILED_NO_RESOURCE')],
  ['waiting-for-skypilot', 'waiting', launched()],
  ['provisioning', 'starting', after(launched(), seen(7, 'STARTING'))],
  ['setup', 'starting', after(launched(), seen(7, 'SETTING_UP'))],
  ['recovering', 'recovering', after(launched(), seen(7, 'RECOVERING'))],
  ['being-cancelled', 'stopping', after(launched(), seen(7, 'CANCELLING'))],
  ['running', 'running', after(launched(), seen(7, 'RUNNING'))],
  ['starting', 'starting', wanted],
  ['limit', 'failed', after(wanted, { kind: 'concluded', conclusion: 'limit', reason: 'too old', atMs: T })],
  ['adopted', 'idle', wish(fresh(), 'adopt', { clusterName: 'c' })],
  ['crash-loop', 'backoff', { ...ended('FAILED', null, retrying), quickFailures: 5 }],
  ['backoff', 'backoff', ended('FAILED', null, retrying)],
  ['terminated', 'terminated', want(fresh(), 'TERMINATED')],
  ['idle', 'idle', fresh()],
  ['succeeded', 'succeeded', ended('SUCCEEDED')],
  ['drift', 'stopped', ended('CANCELLED')],
  ['lost', 'lost', want(after(launched(), gone), 'STOPPED')],
  ['stopped', 'stopped', want(ended('CANCELLED'), 'STOPPED')],
  ['stopped', 'stopped', { ...fresh(), run: 3 }],
  ['refused', 'failed', refusedWith('the YAML is wrong')],
  ['setup-failed', 'failed', ended('FAILED_SETUP')],
  ['code-failed', 'failed', ended('FAILED')],
  ['machines-failed', 'failed', ended('FAILED_CONTROLLER')],
]

test.each(STATES)('tells %s, in phase %s', (headline, phase, state) => {
  const told = explain(state, T)
  expect(told).toMatchObject({ headline, phase })
  expect(told.why).not.toBe('')
  expect(snapshotOf(state, T)).toMatchObject({ headline, phase, why: told.why })
})

test('every word of the closed lists has its state above', () => {
  expect(new Set(STATES.map(([headline]) => headline))).toEqual(new Set(HEADLINE_WORDS))
  expect(new Set(STATES.map(([, phase]) => phase))).toEqual(new Set(PHASES))
})

const ACTIONS: ReadonlyArray<[Action['kind'], Experiment]> = [
  ['launch', wanted],
  ['follow', after(wanted, intended, requested)],
  ['abort', want(after(wanted, intended, requested), 'STOPPED')],
  ['look', want(after(wanted, intended), 'STOPPED')],
  ['cancel', want(launched(), 'STOPPED')],
  ['cluster', want(done, 'STOPPED')],
  ['autostop', after(launched('cluster'), clusterSeen('UP'))],
  [
    'lookAtCluster',
    after(
      want(done, 'STOPPED'),
      { kind: 'clusterAsked', verb: 'stop', name: 'exp-1', atMs: T - 6_000 },
      clusterSeen('UP', { seenAtMs: T - 6_000 }),
    ),
  ],
  ['conclude', ended('CANCELLED', null, policyWith({ drift: 'stop' }))],
  ['wait', fresh()],
  ['finish', wish(fresh(), 'delete')],
]

test.each(ACTIONS)('says why and what next when it is to %s', (kind, state) => {
  const nowMs = T + 10_000
  const action = decide(state, nowMs)
  expect(action.kind).toBe(kind)
  const { next, why } = explain(state, nowMs)
  expect(why).toBe(action.why)
  expect(next === null).toBe(kind === 'wait' || kind === 'finish')
})

test('the evidence names what was seen, what failed and whose jobs are in the way', () => {
  const state = after(
    wish(launched(), 'hold', { actor: 'bob', reason: 'mine' }),
    seen(7, 'STARTING', { details: 'looking for machines' }),
    foreign(5, 'RUNNING'),
  )
  expect(explain(state, T).evidence).toEqual([
    'held by bob: mine',
    'job 7: STARTING (looking for machines)',
    "job 5 named exp is somebody else's",
  ])
})

test('how a run ended is told also after it was stopped, and who stopped what had not ended', () => {
  expect(explain(want(ended('FAILED'), 'STOPPED'), T).why).toBe('stopped; the last run: your code failed')
  expect(
    explain(want(ended('CANCELLED'), { state: 'STOPPED', actor: 'ann', reason: 'too slow' }), T).why,
  ).toBe('stopped by ann: too slow')
})
