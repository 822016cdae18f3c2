import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FORGOTTEN_SETTLE_MS } from '../../core/action.ts'
import { after, clusterSeen, fresh, launched, onCluster, seen, T, want } from '../support/experiments.ts'
import { cancelWorkflow, carriedOn, payloadOf, Sandbox, signal } from './sandbox.ts'

let sandbox: Sandbox
beforeAll(async () => {
  sandbox = await Sandbox.open()
})
afterAll(() => sandbox.close())

const wish = (state: string) => signal('setDesiredState', payloadOf({ state }))
const running = () => after(launched(), seen(7, 'RUNNING'))

describe('messages', () => {
  test('bytes that nothing can decode are counted, and the task does not fail', async () => {
    const [run] = await sandbox.start(running())
    const unreadable = { metadata: { encoding: Buffer.from('binary/encrypted') }, data: Buffer.from('?') }
    const half = { metadata: { encoding: Buffer.from('json/plain') }, data: Buffer.from('{"half": ') }
    const jobs = ['setDesiredState', 'setFlags', 'observe', 'adopt', 'hold', 'delete'].flatMap((name) => [
      signal(name, unreadable),
      signal(name, half),
    ])
    expect((await run.task(jobs)).failure).toBeNull()
    const { badMessages, spec, desired } = await run.state()
    expect(badMessages).toBe(jobs.length)
    expect({ spec, desired }).toEqual({ spec: running().spec, desired: running().desired })
  })

  test('looks of a wrong shape are counted, and the task does not fail', async () => {
    const [run] = await sandbox.start(running())
    const values = [null, [null], [{ kind: 'observed' }], [{ kind: 'vanished', jobId: 7 }], 'no facts']
    const { failure } = await run.task(values.map((value) => signal('observe', payloadOf(value))))
    expect(failure).toBeNull()
    expect(await run.state()).toMatchObject({
      badMessages: values.length,
      attempt: { progress: { phase: 'active' } },
    })
  })

  test('what only a workflow itself can know is not taken from a message', async () => {
    const [run] = await sandbox.start(running())
    await run.task([signal('observe', payloadOf([{ kind: 'jobFound', jobId: 9, atMs: T }]))])
    expect((await run.state()).badMessages).toBe(1)
  })

  test('a signal of an unknown name is counted', async () => {
    const [run] = await sandbox.start(running())
    await run.task([signal('noSuchSignal', payloadOf(1))])
    expect(await run.state()).toMatchObject({
      badMessages: 1,
      lastRefusal: 'there is no signal noSuchSignal',
    })
  })
})

describe('a new run', () => {
  test('begins with the whole state, and with the wishes of the very task that ends the old one', async () => {
    const two = after(running(), seen(9, 'RUNNING'))
    const [run] = await sandbox.start(two)
    await run.task([run.done('cancelJob')])
    const isOver = run.done('isJobOver', false)
    const update = run.update('setDesiredState', { state: 'STOPPED' })
    const outcome = await run.task([isOver, update, wish('TERMINATED')], { continueAsNewSuggested: true })
    const carried = carriedOn(outcome)
    expect(carried).toMatchObject({
      attempt: { progress: { phase: 'active', jobId: 7 } },
      strays: [{ jobId: 9 }],
      desired: { state: 'TERMINATED', generation: two.desired.generation + 2 },
    })
    expect(Object.keys(carried as object).toSorted()).toEqual(Object.keys(two).toSorted())
    expect(outcome.asked.filter((name) => name === 'updateResponse')).toHaveLength(2)
    expect(outcome.asked.at(-1)).toBe('continueAsNewWorkflowExecution')
  })

  test('begins long before Temporal asks for it, so that another worker soon has replayed a run', async () => {
    const [run] = await sandbox.start(running())
    const short = await run.task([signal('noSuchSignal')], { historyLength: 500 })
    expect(carriedOn(short)).toBeUndefined()
    const long = await run.task([signal('noSuchSignal')], { historyLength: 501 })
    expect(carriedOn(long)).toMatchObject({ attempt: { progress: { phase: 'active', jobId: 7 } } })
  })

  test('waits for an activity that is under way', async () => {
    const [run] = await sandbox.start(want(fresh(), 'RUNNING'))
    const early = await run.task([signal('noSuchSignal')], { continueAsNewSuggested: true })
    expect(carriedOn(early)).toBeUndefined()
    const requested = run.done('requestLaunch', { kind: 'requested', requestId: 'r' })
    expect(carriedOn(await run.task([requested], { continueAsNewSuggested: true }))).toMatchObject({
      attempt: { progress: { phase: 'requested', requestId: 'r' } },
    })
  })

  test('that is to end at once takes the wishes that came with its beginning', async () => {
    const options = { continueAsNewSuggested: true }
    const [, outcome] = await sandbox.start(running(), options, (run) => [
      run.update('setDesiredState', { state: 'STOPPED' }),
      signal('hold', payloadOf({ actor: 'ann' })),
    ])
    expect(carriedOn(outcome)).toMatchObject({ desired: { state: 'STOPPED' }, hold: { actor: 'ann' } })
    expect(outcome.asked.filter((name) => name === 'updateResponse')).toHaveLength(2)
  })
})

describe('a launch', () => {
  test('has its identity before it is asked for', async () => {
    const [run, { failure }] = await sandbox.start(want(fresh(), 'RUNNING'))
    expect(failure).toBeNull()
    expect(run.activity('requestLaunch').argument).toMatchObject({
      name: 'exp-1.1.1',
      identity: { experimentId: 1, run: 1, attempt: 1 },
      unsureBefore: false,
    })
  })

  test('that is stopped on its way is cut short, and what it made all the same is cancelled', async () => {
    const [run] = await sandbox.start(want(fresh(), 'RUNNING'))
    expect((await run.task([wish('STOPPED')])).asked).toContain('requestCancelActivity')
    await run.task([run.done('requestLaunch', { kind: 'requested', requestId: 'r' })])
    expect(run.activity('abortLaunch').argument).toBe('r')
    await run.task([run.done('abortLaunch')])
    await run.task([run.done('lookForLaunch', { kind: 'found', jobId: 9 })])
    expect(run.activity('cancelJob').argument).toMatchObject({ jobId: 9, clusterName: null })
  })

  test('that was cut short may have launched: the next try is told so', async () => {
    const [run] = await sandbox.start(want(fresh(), 'RUNNING'))
    await run.task([signal('edit', payloadOf({ policy: { priority: 1 } }))])
    await run.task([run.cancelled('requestLaunch')])
    expect(run.activity('requestLaunch').argument).toMatchObject({ name: 'exp-1.1.1', unsureBefore: true })
  })

  test('that failed may have launched: the next try is told so', async () => {
    const [run] = await sandbox.start(want(fresh(), 'RUNNING'))
    const { commands } = await run.task([run.failed('requestLaunch', 'away')])
    const seq = commands.find(({ startTimer }) => startTimer)?.startTimer?.seq
    await run.task([{ fireTimer: { seq } }], { afterMs: 3_600_000 })
    expect(run.activity('requestLaunch').argument).toMatchObject({ name: 'exp-1.1.1', unsureBefore: true })
  })

  test('that SkyPilot forgot may be worked on: it is looked for, for long, and not sent again', async () => {
    const [run] = await sandbox.start(want(fresh(), 'RUNNING'))
    await run.task([run.done('requestLaunch', { kind: 'requested', requestId: 'r' })])
    await run.task([run.done('followLaunch', { kind: 'unsure', reason: 'forgotten', isForgotten: true })])
    await run.task([run.done('lookForLaunch', { kind: 'empty' })])
    expect(run.underWay).toEqual(['project'])
    const { attempt } = await run.state()
    expect(attempt?.progress).toMatchObject({ unsure: true, settledAtMs: T + FORGOTTEN_SETTLE_MS })
  })

  test('ends before anything else begins', async () => {
    const [, { commands }] = await sandbox.start(want(fresh(), 'RUNNING'))
    const launch = commands.find(({ scheduleActivity }) => scheduleActivity?.activityType === 'requestLaunch')
    const WAIT_CANCELLATION_COMPLETED = 1
    expect(launch?.scheduleActivity?.cancellationType).toBe(WAIT_CANCELLATION_COMPLETED)
  })
})

describe('the end', () => {
  test('cancelling the workflow means to clean up, and then to end', async () => {
    const [run] = await sandbox.start(running())
    await run.task([run.done('project')])
    const { asked } = await run.task([cancelWorkflow])
    expect(asked).not.toContain('cancelWorkflowExecution')
    expect(run.activity('cancelJob').argument).toMatchObject({ jobId: 7 })
    expect(await run.state()).toMatchObject({ deleted: true, desired: { actor: 'temporal' } })
    await run.task([run.done('cancelJob')])
    const gone = [{ kind: 'vanished', jobId: 7, jobName: 'exp-1.1.1', atMs: T + 1 }]
    const told = await run.task([signal('observe', payloadOf(gone))])
    expect(told.asked).not.toContain('completeWorkflowExecution')
    await run.task([run.done('project')])
    expect((await run.task([run.done('project')])).asked).toContain('completeWorkflowExecution')
  })

  test('comes only when the tables know all of it', async () => {
    const [run, { asked }] = await sandbox.start({ ...want(fresh(), 'STOPPED'), deleted: true })
    expect(asked).toContain('project')
    expect(asked).not.toContain('completeWorkflowExecution')
    expect((await run.task([run.done('project')])).asked).toContain('completeWorkflowExecution')
  })

  test('of a job is asked for to the end, whatever is wished meanwhile', async () => {
    const [run] = await sandbox.start(want(running(), 'STOPPED'))
    expect(run.underWay).toContain('cancelJob')
    const held = await run.task([signal('hold', payloadOf({ actor: 'ann' }))])
    expect(held.asked).not.toContain('requestCancelActivity')
  })

  test('of a second job is asked for by its id, and then looked at', async () => {
    const [run] = await sandbox.start(after(running(), seen(9, 'RUNNING')))
    expect(run.activity('cancelJob').argument).toMatchObject({ jobId: 9 })
    await run.task([run.done('cancelJob')])
    await run.task([run.done('isJobOver', false)])
    expect((await run.state()).strays).toMatchObject([{ jobId: 9 }])
  })

  test('of a cluster is not concluded while a request for it is under way', async () => {
    const up = after(onCluster(), clusterSeen('UP', { seenAtMs: T }))
    const [run] = await sandbox.start(want(up, 'TERMINATED'))
    const busy = { refusal: null, askedAtMs: T, look: { kind: 'busy' } }
    await run.task([run.done('changeCluster', busy)], { afterMs: 60_000 })
    expect((await run.state()).cluster).toMatchObject({ looksAbsent: 0, asked: { verb: 'down' } })
  })
})
