import { rmSync } from 'node:fs'
import { ServiceError } from '@temporalio/client'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { historiesOf } from '../chaos/histories.ts'
import { POLL, Rig } from '../support/rig.ts'
import { temporalWith } from '../support/temporal-settings.ts'

// The row of docs/failure-catalogue.md about floods of messages. Temporal takes 200 signals for a run here instead of
// 10,000, and suggests a new run after 120 events instead of 4,096, so that both limits are reached in seconds.

const SIGNALS_MAX = 200
const EVENTS_MAX = 120

const lowered = temporalWith([
  `history.maximumSignalsPerExecution=${SIGNALS_MAX}`,
  `limit.historyCount.suggestContinueAsNew=${EVENTS_MAX}`,
])
let rig: Rig

beforeAll(async () => {
  rig = await Rig.start(50, { SKYDECK_TEMPORAL_BIN: lowered.bin })
})
afterEach(() => rig.thawAll())
afterAll(async () => {
  await rig?.dispose()
  rmSync(lowered.folder, { recursive: true, force: true })
})

describe('row 33: a flood of messages', () => {
  test('row 33: while the worker is away signals beyond the limit are refused; then the workflow takes in the rest and goes on', async () => {
    const { id } = await rig.desk.sdk.create({ name: 'flooded', command: 'true' })
    const { badMessages } = await rig.stateOf(id)
    const worker = rig.freeze('worker')
    const sent = await Promise.allSettled(
      Array.from({ length: SIGNALS_MAX + 50 }, (_, index) => rig.handleOf(id).signal('noSuchSignal', index)),
    )
    const refused = sent.flatMap((each) => (each.status === 'rejected' ? [each.reason as unknown] : []))
    // The look-out may have told it something before.
    expect(refused.length).toBeGreaterThanOrEqual(50)
    for (const reason of refused) {
      expect(reason).toBeInstanceOf(ServiceError)
      expect(String((reason as ServiceError).cause)).toContain('limit')
    }
    expect(await rig.wish(id, 'RUNNING')).toBe(503)
    rig.thaw(worker)
    await expect
      .poll(
        () =>
          rig.stateOf(id).then(
            (state) => state.badMessages,
            () => null,
          ),
        POLL,
      )
      .toBe(badMessages + sent.length - refused.length)
    await rig.handleOf(id).signal('noSuchSignal')
    expect((await historiesOf(rig.temporal, `experiment-${id}`)).length).toBeGreaterThan(1)
    expect(await rig.runThrough(id)).toEqual([])
  })

  test('row 33: people who ask for a look again and again do not wear out the look-out', async () => {
    const runsBefore = (await historiesOf(rig.temporal, 'fleet')).length
    for (let count = 0; count < SIGNALS_MAX + 50; count += 10) {
      const answers = await Promise.all(Array.from({ length: 10 }, () => rig.post('/api/refresh', {})))
      expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 10 }, () => 200))
    }
    expect((await historiesOf(rig.temporal, 'fleet')).length).toBeGreaterThan(runsBefore)
    const { id } = await rig.desk.sdk.create({ name: 'after-looks', command: 'true' })
    expect(await rig.runThrough(id)).toEqual([])
  })
})
