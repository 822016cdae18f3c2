import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { alive, POLL, Rig, WAIT } from '../support/rig.ts'

// The row of docs/failure-catalogue.md about a database that is put back to an earlier state.

let rig: Rig

beforeAll(async () => {
  rig = await Rig.start()
})
afterEach(() => rig.thawAll())
afterAll(() => rig?.dispose())

const NAME = 'skydeck'

async function asOwner(statements: readonly string[]): Promise<void> {
  const url = Object.assign(new URL(rig.desk.databaseUrl), { pathname: '/postgres' }).href
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  // A database cannot be copied or go while somebody uses it.
  const leave = 'select pg_terminate_backend(pid) from pg_stat_activity where datname = $1'
  try {
    for (const statement of statements) {
      await client.query(`alter database ${NAME} with allow_connections false`).catch(() => undefined)
      await client.query(leave, [NAME])
      await client.query(statement)
    }
  } finally {
    await client.query(`alter database ${NAME} with allow_connections true`)
    await client.end()
  }
}
const backUp = (): Promise<void> => asOwner([`create database backup template ${NAME}`])
const putBack = (): Promise<void> =>
  asOwner([`drop database ${NAME}`, `alter database backup rename to ${NAME}`])

const listed = async () => new Map((await rig.desk.sdk.list()).map((each) => [each.name, each]))
const eventsOf = async (id: number): Promise<string[]> => {
  const answer = await fetch(`${rig.desk.url}/api/experiments/${id}/events`)
  return ((await answer.json()) as { events: Array<{ text: string }> }).events.map(({ text }) => text)
}

test('row 54: the tables are put back to an earlier state: nothing is launched twice, no number is given twice, and they catch up', async () => {
  const kept = await rig.running('kept')
  const ending = await rig.running('ending')
  const starting = await rig.sleeper('starting')
  const deleted = await rig.running('deleted')
  await backUp()
  await expect.poll(() => rig.wish(ending.id, 'STOPPED'), POLL).toBe(200)
  await rig.desk.sdk.waitFor(ending.id, 'stopped', WAIT)
  await rig.desk.sdk.setDesiredState(starting.id, 'RUNNING')
  await rig.desk.sdk.waitFor(starting.id, 'running', WAIT)
  await rig.desk.sdk.delete(deleted.id)
  await rig.handleOf(deleted.id).result()
  const made = await rig.running('made-since')
  const ended = await rig.desk.sdk.create({ name: 'ended-since', command: 'true', desiredState: 'RUNNING' })
  await rig.desk.sdk.waitFor(ended.id, 'succeeded', WAIT)
  const before = { ending: await eventsOf(ending.id), ended: await eventsOf(ended.id) }
  const launched = await rig.desk.submitted('')
  // Nobody catches up before somebody creates.
  const worker = rig.freeze('worker')
  await putBack()
  await expect.poll(async () => (await listed()).has('kept'), POLL).toBe(true)
  expect((await listed()).has('made-since')).toBe(false)
  const fresh = await rig.desk.sdk.create({ name: 'fresh', command: 'true' })
  expect([made.id, ended.id]).not.toContain(fresh.id)
  rig.thaw(worker)

  await expect
    .poll(async () => [...(await listed()).keys()].toSorted(), POLL)
    .toEqual(['ended-since', 'ending', 'fresh', 'kept', 'made-since', 'starting'])
  const phases = async () => [...(await listed())].map(([name, { phase }]) => `${name} ${phase}`).toSorted()
  await expect
    .poll(phases, POLL)
    .toEqual([
      'ended-since succeeded',
      'ending stopped',
      'fresh idle',
      'kept running',
      'made-since running',
      'starting running',
    ])
  expect(await eventsOf(ending.id)).toEqual(before.ending)
  expect(await eventsOf(ended.id)).toEqual(before.ended)
  // What must not happen has time to happen.
  await sleep(3_000)
  expect(await rig.desk.submitted('')).toBe(launched)
  expect([kept, ending, starting, deleted, made].map(({ mark }) => alive(mark))).toEqual([1, 0, 1, 0, 1])
  const next = await rig.desk.sdk.create({ name: 'next', command: 'true' })
  expect(next.id).toBeGreaterThan(Math.max(made.id, ended.id, fresh.id))
  expect(await rig.runThrough(next.id)).toEqual([])
  await rig.desk.sdk.setDesiredState(made.id, 'STOPPED')
  await rig.desk.sdk.waitFor(made.id, 'stopped', WAIT)
  expect(alive(made.mark)).toBe(0)
})
