import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { processesWith } from '../support/desk.ts'
import { alive, POLL, PRELOAD, Rig, WAIT } from '../support/rig.ts'

// Rows of docs/failure-catalogue.md about moments and clocks, which need something within the processes: see preload.ts.

const HOUR_MS = 3_600_000

const folder = mkdtempSync(join(tmpdir(), 'skydeck-preload-'))
let rig: Rig

beforeAll(async () => {
  rig = await Rig.start(50, { NODE_OPTIONS: `--import=${PRELOAD}`, TEST_PRELOAD: folder })
})
afterEach(() => {
  rig.thawAll()
  for (const name of ['clock', 'kill']) rmSync(join(folder, name), { force: true })
})
afterAll(async () => {
  await rig?.dispose()
  rmSync(folder, { recursive: true, force: true })
})

describe('row 4: the worker is killed within a workflow task', () => {
  /** The worker dies at the next activation with such a job: before it is worked on, or with its commands at hand. */
  const killAt = (point: string): void => writeFileSync(join(folder, 'kill'), point)
  const isKilled = (): boolean => !existsSync(join(folder, 'kill'))

  test.each(['before signalWorkflow', 'after signalWorkflow', 'after resolveActivity'])(
    'row 4: %s',
    async (point) => {
      const { id, mark } = await rig.sleeper(point.replace(' ', '-').toLowerCase())
      const { desired } = await rig.stateOf(id)
      await expect.poll(async () => (await rig.stateOf(id)).projected, POLL).toBeGreaterThan(0)
      killAt(point)
      await rig.handleOf(id).signal('setDesiredState', 'RUNNING')
      await expect.poll(isKilled, POLL).toBe(true)
      await rig.desk.sdk.waitFor(id, 'running', WAIT)
      expect((await rig.stateOf(id)).desired).toMatchObject({
        state: 'RUNNING',
        generation: desired.generation + 1,
      })
      expect(alive(mark)).toBe(1)
      expect(await rig.cutShort(id)).toBeGreaterThanOrEqual(1)
      expect(await rig.failuresOf(id)).toEqual([])
      await rig.desk.sdk.setDesiredState(id, 'STOPPED')
      await rig.desk.sdk.waitFor(id, 'stopped', WAIT)
      expect(alive(mark)).toBe(0)
      expect(await rig.desk.submitted(`${point.replace(' ', '-').toLowerCase()}-`)).toBe(1)
    },
  )

  test('row 4: before initializeWorkflow', async () => {
    killAt('before initializeWorkflow')
    const { id, name } = await rig.desk.sdk.create({
      name: 'unborn',
      command: 'true',
      desiredState: 'RUNNING',
    })
    await expect.poll(isKilled, POLL).toBe(true)
    await rig.desk.sdk.waitFor(id, 'succeeded', WAIT)
    expect(await rig.cutShort(id)).toBeGreaterThanOrEqual(1)
    expect(await rig.desk.submitted(`${name}-`)).toBe(1)
  })
})

describe('row 43: the clock of worker and console jumps', () => {
  test('row 43: an hour forth, two back, and right again: nothing ends early, and all that happens is seen', async () => {
    const jump = async (ms: number): Promise<void> => {
      writeFileSync(join(folder, 'clock'), String(ms))
      await sleep(500)
    }
    const limited = await rig.desk.sdk.create({
      name: 'limited',
      command: 'exec -a mark-limited sleep 600',
      maxRunSeconds: 1_200,
      desiredState: 'RUNNING',
    })
    await rig.desk.sdk.waitFor(limited.id, 'running', WAIT)
    for (const [index, ms] of [HOUR_MS, -HOUR_MS, 0].entries()) {
      const early = await rig.running(`early-${index}`)
      await jump(ms)
      // What was there before the jump is stopped, what is new is started with a limit, and one fails by itself.
      expect(await rig.wish(early.id, 'STOPPED')).toBe(200)
      const late = await rig.desk.sdk.create({
        name: `late-${index}`,
        command: `exec -a mark-late-${index} sleep 600`,
        maxRunSeconds: 1_200,
        desiredState: 'RUNNING',
      })
      const failing = await rig.desk.sdk.create({
        name: `failing-${index}`,
        command: 'exit 3',
        desiredState: 'RUNNING',
      })
      await rig.desk.sdk.waitFor(early.id, 'stopped', WAIT)
      await rig.desk.sdk.waitFor(failing.id, 'failed', WAIT)
      await rig.desk.sdk.waitFor(late.id, 'running', WAIT)
      // What must not happen has time to happen.
      await sleep(2_000)
      expect((await rig.health()).staleness_seconds).toBeGreaterThanOrEqual(0)
      for (const { id } of [limited, late]) expect((await rig.desk.sdk.get(id)).desired_state).toBe('RUNNING')
      expect([alive('mark-limited'), alive(`mark-late-${index}`), alive(early.mark)]).toEqual([1, 1, 0])
      for (const { id } of [limited, late]) expect((await rig.stateOf(id)).closing).toBeNull()
      expect(await rig.desk.submitted(`late-${index}-`)).toBe(1)
    }
    expect(await rig.desk.submitted('limited-')).toBe(1)
    expect(await rig.failuresOf(limited.id)).toEqual([])
  })
})

describe('row 7: Temporal is away for long', () => {
  /** Longer than every timeout of a connection and of the look-out, and than what is seen counts as new; not half an hour. */
  const AWAY_S = 45

  test('row 7: for 45 s pages show what was and how old it is, wishes are refused; afterwards nothing is lost', async () => {
    const calm = await rig.running('long-calm')
    const ending = await rig.running('long-ending')
    const { generation } = (await rig.stateOf(calm.id)).desired
    const server = rig.freeze('temporal')
    const startedAtMs = performance.now()
    for (const pid of processesWith(ending.mark)) process.kill(pid, 'SIGKILL')
    let slowestMs = 0
    while (performance.now() - startedAtMs < AWAY_S * 1_000) {
      for (const path of ['/', '/api/experiments', `/api/experiments/${calm.id}`]) {
        const askedAtMs = performance.now()
        expect((await fetch(rig.desk.url + path)).status).toBe(200)
        slowestMs = Math.max(slowestMs, performance.now() - askedAtMs)
      }
      expect(await rig.wish(calm.id, 'RUNNING')).toBe(503)
      expect((await rig.desk.sdk.get(calm.id)).phase).toBe('running')
      await sleep(1_000)
    }
    expect(slowestMs).toBeLessThan(2_000)
    // What could be seen cannot be told to anybody, so after a while nobody looks, and that is what is shown.
    expect((await rig.health()).staleness_seconds).toBeGreaterThan(AWAY_S - 15)
    expect(await rig.desk.sdk.get(calm.id)).toMatchObject({ phase: 'running', headline: 'cannot-see' })
    const unstarted = await rig.desk.sdk.create({
      name: 'long-new',
      command: 'true',
      desiredState: 'RUNNING',
    })
    expect(unstarted.phase).toBe('idle')
    rig.thaw(server)
    await rig.desk.sdk.waitFor(ending.id, 'failed', WAIT)
    await rig.desk.sdk.waitFor(unstarted.id, 'succeeded', WAIT)
    await expect.poll(() => rig.wish(calm.id, 'STOPPED'), POLL).toBe(200)
    await rig.desk.sdk.waitFor(calm.id, 'stopped', WAIT)
    expect(alive(calm.mark)).toBe(0)
    expect((await rig.stateOf(calm.id)).desired.generation).toBeLessThanOrEqual(generation + 1)
    expect(await rig.desk.submitted('long-')).toBe(3)
  })
})
