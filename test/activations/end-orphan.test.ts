import { afterAll, beforeAll, expect, test } from 'vitest'
import { carriedOn, type Run, Sandbox } from './sandbox.ts'

let sandbox: Sandbox
beforeAll(async () => {
  sandbox = await Sandbox.open()
})
afterAll(() => sandbox.close())

const orphan = { kind: 'job', jobId: 7 }

async function asked(): Promise<Run> {
  const [run] = await sandbox.begin('endOrphan', orphan)
  await run.task([run.done('endOrphan')])
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
