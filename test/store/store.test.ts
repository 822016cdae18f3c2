import type { Pool } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { accept } from '../../core/accept.ts'
import { evolve } from '../../core/evolve.ts'
import { born, type Experiment } from '../../core/experiment.ts'
import { DEFAULT_POLICY } from '../../core/policy.ts'
import { snapshotOf } from '../../core/snapshot.ts'
import type { Spec } from '../../core/spec.ts'
import { submittedOf } from '../../core/submitted.ts'
import { getAttemptByJob, listAttempts, listLiveAttempts } from '../../store/attempts.ts'
import { listEvents } from '../../store/events.ts'
import {
  countByPhase,
  editNotes,
  getExperiment,
  listExperiments,
  renameExperiment,
  reserveExperiment,
  unstarted,
} from '../../store/experiments.ts'
import { changeOf, listen } from '../../store/listen.ts'
import { migrate } from '../../store/migrate.ts'
import { openPool } from '../../store/pool.ts'
import { project } from '../../store/project.ts'
import { listSources, noteSilentQueues, touchSource } from '../../store/sources.ts'
import { type TestPostgres, testPostgres } from '../support/postgres.ts'

let postgres: TestPostgres
let url: string
let db: Pool

beforeAll(async () => {
  postgres = await testPostgres()
})
afterAll(() => postgres.dispose())
beforeEach(async () => {
  url = await postgres.database()
  await migrate(url, () => {})
  db = openPool(url, () => {})
})
afterEach(() => db.end())

const spec: Spec = {
  executor: 'managed',
  command: { form: 'template', template: 'echo {flags}', flagStyle: 'key=value' },
  flags: { lr: 0.1 },
  nodes: 1,
  gpus: 0,
  accelerator: null,
  cloud: null,
  instanceType: null,
  spot: false,
  setup: null,
  envs: {},
}
const given = {
  description: null,
  tags: ['a'],
  label: null,
  sortOrder: 0,
  spec,
  policy: DEFAULT_POLICY,
  desiredState: 'STOPPED',
  createdBy: 'me',
} as const
const T = 1_000_000_000_000

const reserve = (name: string) => reserveExperiment(db, { ...given, name })
const fresh = (id: number, name: string): Experiment => born({ id, name, spec, actor: 'me', atMs: T })
const running = (state: Experiment): Experiment => {
  const [wanted] = accept(state, { kind: 'setDesiredState', value: 'RUNNING' }, T + 1)
  const intended = evolve(wanted, { kind: 'launchIntended', atMs: T + 2 })
  return evolve(intended, { kind: 'jobFound', jobId: 7, atMs: T + 3 })
}
const ended = (state: Experiment): Experiment =>
  evolve(running(state), {
    kind: 'vanished',
    jobId: 7,
    jobName: `${state.name}-${state.id}.1.1`,
    atMs: T + 5,
  })
const deleted = (state: Experiment): Experiment => accept(state, { kind: 'delete', value: {} }, T + 9)[0]
const put = (state: Experiment) => project(db, snapshotOf(state, T + 10))

describe('names', () => {
  test('one living experiment has a name, however many ask at once', async () => {
    const rows = await Promise.all(Array.from({ length: 20 }, () => reserve('same')))
    expect(rows.filter((row) => row !== undefined)).toHaveLength(1)
  })

  test('the name of a deleted one is free', async () => {
    const row = await reserve('again')
    await put(deleted(fresh(row!.id, 'again')))
    expect(await getExperiment(db, 'again')).toBeUndefined()
    expect(await reserve('again')).toMatchObject({ name: 'again' })
  })

  test('a rename to a taken name is refused', async () => {
    const one = await reserve('one')
    await reserve('two')
    expect(await renameExperiment(db, one!.id, 'two')).toBe(false)
    expect(await renameExperiment(db, one!.id, 'three')).toBe(true)
    expect((await getExperiment(db, 'three'))?.id).toBe(one!.id)
  })

  test('a projection with a taken name keeps the row its own', async () => {
    await reserve('taken')
    const row = await reserve('mine')
    await put(fresh(row!.id, 'taken'))
    expect(await getExperiment(db, String(row!.id))).toMatchObject({ name: 'mine', revision: 1 })
  })

  test('of one whose row was lost goes to another, if somebody took it meanwhile', async () => {
    const { id } = (await reserve('taken'))!
    const lost = id + 1
    await put(running(fresh(lost, 'taken')))
    expect(await getExperiment(db, String(lost))).toMatchObject({ name: `taken-${lost}`, phase: 'waiting' })
    await put(ended(fresh(lost, 'taken')))
    expect(await getExperiment(db, String(lost))).toMatchObject({ name: `taken-${lost}` })
    expect((await getExperiment(db, 'taken'))?.id).toBe(id)
    await put(deleted(fresh(lost + 1, 'taken')))
    expect((await getExperiment(db, 'taken'))?.id).toBe(id)
  })

  test('a deleted one keeps its name, also when news of it come after a new one took that', async () => {
    const { id } = (await reserve('exp'))!
    const gone = deleted(fresh(id, 'exp'))
    await put(gone)
    await reserve('exp')
    await put({ ...gone, revision: gone.revision + 1 })
    const { rows } = await db.query<{ name: string }>('select name from experiment where id = $1', [id])
    expect(rows).toEqual([{ name: 'exp' }])
  })
})

describe('the projection', () => {
  test('an older revision never replaces a newer one, in whatever order they come', async () => {
    const { id } = (await reserve('exp'))!
    const old = fresh(id, 'exp')
    const now = running(old)
    for (const state of [now, old, now, old]) await put(state)
    const { revision } = now
    const shown = { desiredState: 'RUNNING', revision, jobId: 7, run: 1 }
    expect(await getExperiment(db, 'exp')).toMatchObject(shown)
    expect(await listAttempts(db, id, 10)).toMatchObject([{ run: 1, attempt: 1, jobId: 7, phase: 'active' }])
  })

  test('what ended stays ended when an old look comes late', async () => {
    const { id } = (await reserve('exp'))!
    const state = fresh(id, 'exp')
    await put(ended(state))
    await put(running(state))
    expect(await listAttempts(db, id, 10)).toMatchObject([
      { phase: 'ended', status: 'GONE', outcome: 'lost' },
    ])
  })

  test('the same one fifty times at once writes each event once', async () => {
    const { id } = (await reserve('exp'))!
    const state = running(fresh(id, 'exp'))
    await Promise.all(Array.from({ length: 50 }, () => put(state)))
    const events = await listEvents(db, { experimentId: id, limit: 100 })
    expect(events.map(({ seq }) => seq).toSorted((a, b) => a - b)).toEqual(state.events.map(({ seq }) => seq))
  })

  test('an attempt that was edited while it waited to be launched has what was sent', async () => {
    const { id } = (await reserve('exp'))!
    const [wanted] = accept(fresh(id, 'exp'), { kind: 'setDesiredState', value: 'RUNNING' }, T + 1)
    const waiting = evolve(wanted, { kind: 'launchIntended', atMs: T + 2 })
    await put(waiting)
    const [edited] = accept(waiting, { kind: 'edit', value: { spec: { flags: { lr: '0.2' } } } }, T + 3)
    const submitted = submittedOf(edited)
    await put(
      evolve(edited, {
        kind: 'launchRequested',
        requestId: 'r',
        isFenced: false,
        submitted,
        atMs: T + 4,
      }),
    )
    expect(await listAttempts(db, id, 10)).toMatchObject([{ command: 'echo lr=0.2', specRevision: 2 }])
  })

  test('it makes the row when the tables were lost', async () => {
    await put(running(fresh(77, 'lost')))
    expect(await getExperiment(db, '77')).toMatchObject({ name: 'lost', jobId: 7 })
  })

  test('the log can only grow', async () => {
    const { id } = (await reserve('exp'))!
    await put(fresh(id, 'exp'))
    await expect(db.query('delete from event')).rejects.toThrow('append-only')
    await expect(db.query("update event set text = 'x'")).rejects.toThrow('append-only')
  })

  test('live jobs are found by what changed lately, and by their job id', async () => {
    const { id } = (await reserve('exp'))!
    await put(running(fresh(id, 'exp')))
    expect(await listLiveAttempts(db, null)).toEqual([
      { experimentId: id, jobId: 7, jobName: `exp-${id}.1.1`, clusterName: null, status: 'PENDING' },
    ])
    expect(await listLiveAttempts(db, 60_000)).toHaveLength(1)
    expect(await listLiveAttempts(db, -60_000)).toHaveLength(0)
    expect(await getAttemptByJob(db, 7)).toMatchObject({ experimentId: id })
  })
})

describe('lists', () => {
  test('search takes the letters as they are, not as a pattern', async () => {
    for (const name of ['a_b', 'axb', 'a.b']) await reserve(name)
    expect((await listExperiments(db, { search: 'a_b', limit: 10 })).map(({ name }) => name)).toEqual(['a_b'])
  })

  test('counts and lists agree', async () => {
    for (const name of ['a', 'b', 'c']) await reserve(name)
    const row = await getExperiment(db, 'a')
    await put(running(fresh(row!.id, 'a')))
    const counts = await countByPhase(db)
    expect(counts.get('idle')).toBe(2)
    const phase = [...counts.keys()].find((each) => each !== 'idle')
    expect(await listExperiments(db, { phases: [phase!], limit: 10 })).toMatchObject([{ name: 'a' }])
  })

  test('a creation that was cut short is found until its workflow was heard of', async () => {
    const row = await reserve('half')
    expect(await unstarted(db, 60_000)).toEqual([])
    expect(await unstarted(db, -1_000)).toMatchObject([{ name: 'half', desiredState: 'STOPPED' }])
    await put(fresh(row!.id, 'half'))
    expect(await unstarted(db, -1_000)).toEqual([])
  })

  test('notes change one by one; null clears', async () => {
    const { id } = (await reserve('noted'))!
    await editNotes(db, id, { description: 'about', starred: true, label: 'g' })
    await editNotes(db, id, { label: null, tags: [] })
    const noted = { description: 'about', starred: true, label: null, tags: [] }
    expect(await getExperiment(db, 'noted')).toMatchObject(noted)
  })
})

test('clusters that do not answer are noted since they last did, until they do', async () => {
  const silent = (clusterName: string, wholeAtMs: number | null) => ({ clusterName, wholeAtMs, error: 'no' })
  await touchSource(db, { name: 'skypilot', ok: true, error: null, atMs: T })
  await noteSilentQueues(db, [silent('exp-1', T - 9), silent('exp-2', null)], T)
  // A worker that takes over knows less, and does not make it younger.
  await noteSilentQueues(db, [silent('exp-1', null)], T + 5)
  expect(await listSources(db)).toMatchObject([
    { name: 'queue:exp-1', okAtMs: T - 9, triedAtMs: T + 5, error: 'no' },
    { name: 'skypilot' },
  ])
  await noteSilentQueues(db, [], T + 10)
  expect(await listSources(db)).toMatchObject([{ name: 'skypilot' }])
})

test('a cluster that this look-out never heard is silent since the last good look, or since its job was made', async () => {
  const { id } = (await reserve('silent'))!
  const attemptAt = (run: number, createdAtMs: number, phase: string) =>
    db.query(
      `insert into attempt (experiment_id, run, attempt, job_name, cluster_name, phase, status, command, spec_revision,
         recoveries, created_at, seen_at, revision) values ($1, $2, 1, $3, 'exp-1', $4, 'RUNNING', '', 1, 0, $5, $6, 1)`,
      [id, run, `silent-${id}.${run}.1`, phase, new Date(createdAtMs), new Date(T - 36_000_000)],
    )
  const sinceMs = async () => {
    await noteSilentQueues(db, [{ clusterName: 'exp-1', wholeAtMs: null, error: 'no' }], T)
    const found = (await listSources(db)).find(({ name }) => name === 'queue:exp-1')
    await noteSilentQueues(db, [], T)
    return found?.okAtMs
  }
  await attemptAt(1, T - 72_000_000, 'ended')
  expect(await sinceMs()).toBe(T)
  await attemptAt(2, T - 36_000_000, 'active')
  await touchSource(db, { name: 'skypilot', ok: true, error: null, atMs: T - 10_000 })
  expect(await sinceMs()).toBe(T - 10_000)
  await attemptAt(3, T - 2_000, 'active')
  expect(await sinceMs()).toBe(T - 2_000)
})

test('a failed look keeps the time of the last good one, and an old look changes nothing', async () => {
  await touchSource(db, { name: 'skypilot', ok: true, error: null, atMs: T })
  await touchSource(db, { name: 'skypilot', ok: false, error: 'away', atMs: T + 5_000 })
  await touchSource(db, { name: 'skypilot', ok: true, error: null, atMs: T + 1_000 })
  expect(await listSources(db)).toEqual([
    { name: 'skypilot', triedAtMs: T + 5_000, okAtMs: T, error: 'away' },
  ])
})

test('who listens hears which experiments changed, and that it may have missed some', async () => {
  const heard: unknown[] = []
  const listener = listen(url, 'skydeck', () => {})
  listener.subscribe((payload) => heard.push(changeOf(payload)))
  await expect.poll(() => heard).toEqual([{ kind: 'all' }])
  const { id } = (await reserve('loud'))!
  await touchSource(db, { name: 'skypilot', ok: true, error: null, atMs: T })
  const expected = [{ kind: 'experiments', ids: [id] }, { kind: 'source' }]
  await expect.poll(() => heard.slice(1)).toEqual(expected)
  await db.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'skydeck-listen'",
  )
  await expect.poll(() => heard.at(-1), { timeout: 10_000 }).toEqual({ kind: 'all' })
  await listener.close()
})

test('migrations that race are made once', async () => {
  const empty = await postgres.database()
  await Promise.all(Array.from({ length: 5 }, () => migrate(empty, () => {})))
  const pool = openPool(empty, () => {})
  const { rows } = await pool.query('select name from migration order by id')
  const names = ['0001_experiments', '0002_control', '0003_deleting', '0004_numbers']
  expect(rows).toEqual(names.map((name) => ({ name })))
  await pool.end()
})

test('a new desk counts from a number of its own, and one that has experiments counts on', async () => {
  const here = (await reserve('exp'))!
  const other = await postgres.database()
  await migrate(other, () => {})
  const pool = openPool(other, () => {})
  const there = (await reserveExperiment(pool, { ...given, name: 'exp' }))!
  expect(there.id).not.toBe(here.id)
  await pool.query("delete from migration where name = '0004_numbers'")
  await migrate(other, () => {})
  expect((await reserveExperiment(pool, { ...given, name: 'next' }))?.id).toBe(there.id + 1)
  await pool.end()
})
