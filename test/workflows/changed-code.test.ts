import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { temporal as protocol } from '@temporalio/proto'
import { DeterminismViolationError } from '@temporalio/workflow'
import { NativeConnection, Worker } from '@temporalio/worker'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { WORKFLOW_TASK_QUEUE } from '../../workflows/definitions.ts'
import { alive, POLL, Rig, WAIT } from '../support/rig.ts'

// Row 35 of docs/failure-catalogue.md: a change of the code that histories of before cannot be replayed with.

const dist = (path: string): string => new URL(`../../dist/${path}`, import.meta.url).pathname
const bundle = readFileSync(dist('workflow-bundle.js'), 'utf8')

/** The shipped bundle with one of its lines changed. */
function changed(from: string, to: string): { code: string } {
  expect(bundle.split(from), from).toHaveLength(2)
  return { code: bundle.replace(from, () => to) }
}
const worker = (workflowBundle: { code: string }) => ({
  workflowBundle,
  dataConverter: { payloadConverterPath: dist('workflows/payload-converter.js') },
})

const { History } = protocol.api.history.v1
const recorded = (name: string) =>
  History.decode(gunzipSync(readFileSync(new URL(`../histories/${name}.pb.gz`, import.meta.url))))

const LOOP = 'while (!mustContinue()) {'
const ONE_MORE_TIMER = [
  LOOP,
  `${LOOP} await _temporalio_workflow__WEBPACK_IMPORTED_MODULE_0__.sleep(1);`,
] as const

describe('row 35: replay tells a change that breaks from one that does not', () => {
  test.each([
    ['one more timer', ...ONE_MORE_TIMER],
    ['another name of an activity', 'launching.requestLaunch.', 'launching.askForLaunch.'],
    ['an activity less', 'self.project();\n            tell(', 'tell('],
  ])('row 35: %s', async (_what, from, to) => {
    await expect(
      Worker.runReplayHistory(worker(changed(from, to)), recorded('succeeds'), 'experiment-1'),
    ).rejects.toBeInstanceOf(DeterminismViolationError)
  })

  test('row 35: other words only', async () => {
    const code = changed('starting: nothing is running yet', 'starting: nothing runs yet')
    await expect(
      Worker.runReplayHistory(worker(code), recorded('succeeds'), 'experiment-1'),
    ).resolves.toBeUndefined()
  })
})

describe('row 35: such a change is deployed all the same', () => {
  let rig: Rig
  beforeAll(async () => {
    rig = await Rig.start()
  })
  afterEach(() => rig.thawAll())
  afterAll(() => rig?.dispose())

  /** Temporal's number of the reason. */
  const NON_DETERMINISTIC = 24

  const parkings = async (id: number): Promise<number> =>
    (await rig.eventsOf(id)).filter(
      ({ workflowTaskFailedEventAttributes: failed }) => Number(failed?.cause) === NON_DETERMINISTIC,
    ).length

  test('row 35: experiments stand still and lose nothing, and go on with the code that fits', async () => {
    const { id, mark } = await rig.running('parked')
    const main = rig.end('worker')
    const bad = await Worker.create({
      connection: await NativeConnection.connect({ address: rig.desk.temporalAddress }),
      taskQueue: WORKFLOW_TASK_QUEUE,
      ...worker(changed(...ONE_MORE_TIMER)),
    })
    const ended = bad.run()
    await rig.handleOf(id).signal('setDesiredState', 'STOPPED')
    await expect.poll(() => parkings(id), POLL).toBeGreaterThan(0)
    expect(alive(mark)).toBe(1)
    bad.shutdown()
    await ended
    rig.thaw(main)
    await rig.desk.sdk.waitFor(id, 'stopped', WAIT)
    expect(alive(mark)).toBe(0)
    expect(await rig.desk.submitted('parked-')).toBe(1)
  })
})
