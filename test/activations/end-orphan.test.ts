import { afterAll, beforeAll, expect, test } from 'vitest'
import { carriedOn, type Run, Sandbox } from './sandbox.ts'

let sandbox: Sandbox
beforeAll(async () => {
  sandbox = await Sandbox.open()
})
afterAll(() => sandbox.close())

const orphan = { kind: 'job', jobId: 7 }

async function asked(what: object = orphan): Promise<Run> {
  const [run] = await sandbox.begin('endOrphan', what)
  await run.task([run.done('endOrphan', 'asked')])
  return run
}

/** One look that gives this; whether its end is asked for again after it. */
async function look(run: Run, isGone: boolean, task = {}) {
  await run.task([run.rung()])
  return run.task([run.done('isOrphanGone', isGone)], task)
}

test('what belongs to nobody is gone when two looks in a row do not show it', async () => {
  const run = await asked()
  await look(run, true)
  await look(run, false)
  await look(run, true)
  expect((await look(run, true)).asked).toContain('completeWorkflowExecution')
})

test('what was asked without effect is asked again', async () => {
  const run = await asked()
  const outcomes = [
    await look(run, false),
    await look(run, false),
    await look(run, false),
    await look(run, false),
  ]
  expect(outcomes.map(({ asked: what }) => what.includes('endOrphan'))).toEqual([false, false, false, true])
})

test('what SkyPilot refuses is told and asked again; the workflow does not end of it', async () => {
  const [run] = await sandbox.begin('endOrphan', orphan)
  const refused = await run.task([run.failed('endOrphan', 'no credentials')])
  expect(refused.failure).toBeNull()
  expect(refused.asked).toContain('startTimer')
  await run.task([run.rung()])
  const blind = await run.task([run.failed('isOrphanGone', 'no answer')])
  expect(blind.asked).toContain('startTimer')
})

test('one that does not go makes no history without end', async () => {
  const run = await asked()
  expect(carriedOn(await look(run, false))).toBeUndefined()
  expect(carriedOn(await look(run, false, { historyLength: 501 }))).toEqual(orphan)
})

test('what an experiment has by now is left to it', async () => {
  const [run] = await sandbox.begin('endOrphan', orphan)
  const owned = await run.task([run.done('endOrphan', 'owned')])
  expect(owned.asked).toContain('completeWorkflowExecution')
})

test('a cluster that is there again after it was taken down is another one, and is left alone', async () => {
  const run = await asked({ kind: 'cluster', name: 'somebodys' })
  for (let looks = 0; looks < 3; looks += 1) await look(run, false)
  const { asked: what } = await look(run, false)
  expect(what).toContain('completeWorkflowExecution')
  expect(what).not.toContain('endOrphan')
})

test('one that an earlier release began goes on as it did, and asks again from then on', async () => {
  const run = await asked()
  const past = { isReplaying: true, historyLength: 501 }
  for (let looks = 0; looks < 4; looks += 1)
    expect((await look(run, false, past)).asked).toEqual(['startTimer'])
  for (let looks = 0; looks < 3; looks += 1) expect((await look(run, false)).asked).toEqual(['startTimer'])
  expect((await look(run, false)).asked).toContain('endOrphan')
})
