import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { forEachOf, range } from '../../bench/experiments.ts'
import { rssMiBOf } from '../../bench/machine.ts'
import { freezeInTurns } from '../support/freeze-in-turns.ts'
import { alive, POLL, PRELOAD, Rig, WAIT } from '../support/rig.ts'

// Rows of docs/failure-catalogue.md about a worker that is short of memory or of processor time.

/** The worker keeps so many workflows here instead of 500, so that a few hundred are several times its cache. */
const CACHED_MAX = 100

const folder = mkdtempSync(join(tmpdir(), 'skydeck-preload-'))
let rig: Rig

beforeAll(async () => {
  writeFileSync(join(folder, 'cache'), String(CACHED_MAX))
  rig = await Rig.start(50, { NODE_OPTIONS: `--import=${PRELOAD}`, TEST_PRELOAD: folder })
})
afterAll(async () => {
  await rig?.dispose()
  rmSync(folder, { recursive: true, force: true })
})

const toldOf = (name: string): number => Number(readFileSync(join(folder, name), 'utf8'))

/** What all threads of the worker keep after a collection of garbage: the least of some looks. */
async function keptMiB(): Promise<number> {
  const heaps = readdirSync(folder).filter((name) => name.startsWith('heap-'))
  const looks: number[] = []
  for (let look = 0; look < 4; look += 1) {
    await sleep(1_100)
    looks.push(heaps.reduce((sum, name) => sum + toldOf(name), 0) / 1024 ** 2)
  }
  return Math.min(...looks)
}

test('row 37: twice as many open workflows as before, and the worker keeps no more memory', async () => {
  const COUNT = 200
  const worker = rig.pidOf('worker')
  const add = (prefix: string): Promise<void> =>
    forEachOf(range(COUNT), async (index) => {
      await rig.desk.sdk.create({ name: `${prefix}-${index}`, command: 'true' })
    })
  await add('first')
  const before = await keptMiB()
  expect(toldOf('workflows')).toBeLessThanOrEqual(CACHED_MAX + 5)
  await add('second')
  const after = await keptMiB()
  expect(toldOf('workflows')).toBeLessThanOrEqual(CACHED_MAX + 5)
  // In the cache they would be 75 MiB.
  expect(after - before).toBeLessThan(8)
  expect(rssMiBOf(worker)).toBeLessThan(700)
  expect(rig.pidOf('worker')).toBe(worker)
  const [old] = await rig.desk.sdk.list({ search: 'first-0' })
  expect(await rig.runThrough(old!.id)).toEqual([])
})

test('row 38: the worker starts and works with an eighth of a processor: late, and right', async () => {
  const SHARE = 0.125
  const COUNT = 10
  const old = rig.pidOf('worker')
  process.kill(old, 'SIGKILL')
  await expect
    .poll(() => rig.desk.pids().some(({ name, pid }) => name === 'worker' && pid !== old), POLL)
    .toBe(true)
  const worker = rig.pidOf('worker')
  const end = freezeInTurns(worker, SHARE)
  try {
    const many = await Promise.all(range(COUNT).map((index) => rig.sleeper(`starved-${index}`)))
    await insistently(many, 'RUNNING')
    for (const { id } of many) await rig.desk.sdk.waitFor(id, 'running', WAIT)
    expect(many.map(({ mark }) => alive(mark))).toEqual(many.map(() => 1))
    await insistently(many, 'STOPPED')
    for (const { id } of many) await rig.desk.sdk.waitFor(id, 'stopped', WAIT)
    expect(many.map(({ mark }) => alive(mark))).toEqual(many.map(() => 0))
    expect(await rig.desk.submitted('starved-')).toBe(COUNT)
    // That a task fails is wrong; that one comes too late is a matter of what else the machine has to do.
    for (const { id } of many) expect(await rig.failuresOf(id)).toEqual([])
    expect(rig.pidOf('worker')).toBe(worker)
  } finally {
    await end()
  }
})

/** Who is told "unknown" asks again, which is no other wish. */
async function insistently(many: ReadonlyArray<{ id: number }>, state: string): Promise<void> {
  await Promise.all(many.map(({ id }) => expect.poll(() => rig.wish(id, state), POLL).toBe(200)))
}
