import { readFileSync } from 'node:fs'
import type { Pool } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { accept } from '../../core/accept.ts'
import { evolve } from '../../core/evolve.ts'
import { born, type Experiment } from '../../core/experiment.ts'
import { DEFAULT_POLICY } from '../../core/policy.ts'
import { snapshotOf } from '../../core/snapshot.ts'
import type { Spec } from '../../core/spec.ts'
import { getAttempt, getAttemptByJob, listLiveAttempts } from '../../store/attempts.ts'
import {
  buryRow,
  getDeleted,
  getExperiment,
  getPresent,
  listExperiments,
  nextSeq,
  renameExperiment,
  reserveExperiment,
  reviveRow,
  takeBackName,
  unreserve,
} from '../../store/experiments.ts'
import {
  findByNames,
  knownExperiments,
  listExpectedClusters,
  listOrphans,
  seeOrphans,
} from '../../store/fleet.ts'
import { takeLease } from '../../store/leases.ts'
import { migrate } from '../../store/migrate.ts'
import { openPool } from '../../store/pool.ts'
import { project } from '../../store/project.ts'
import { listQueue, queuePlaces } from '../../store/queue.ts'
import { type TestPostgres, testPostgres } from '../support/postgres.ts'

let postgres: TestPostgres
let db: Pool

beforeAll(async () => {
  postgres = await testPostgres()
})
afterAll(() => postgres.dispose())
beforeEach(async () => {
  const url = await postgres.database()
  await migrate(url, () => {})
  db = openPool(url, () => {})
})
afterEach(() => db.end())

const T = 1_000_000_000_000
const spec: Spec = {
  executor: 'managed',
  command: { form: 'template', template: 'echo {flags}', flagStyle: 'key=value' },
  flags: {},
  nodes: 1,
  gpus: 0,
  accelerator: null,
  cloud: null,
  instanceType: null,
  spot: false,
  setup: null,
  envs: {},
}
const onCluster: Spec = { ...spec, executor: 'cluster' }

async function reserve(name: string, by = 'me'): Promise<number> {
  const row = await reserveExperiment(db, {
    name,
    description: null,
    tags: [],
    label: null,
    sortOrder: 0,
    spec,
    policy: DEFAULT_POLICY,
    desiredState: 'STOPPED',
    createdBy: by,
  })
  return row!.id
}

const wished = (
  state: Experiment,
  kind: 'setDesiredState' | 'edit' | 'delete' | 'undelete' | 'hold',
  value: unknown,
) => accept(state, { kind, value }, T + 1)[0]
const put = (state: Experiment): Promise<void> => project(db, snapshotOf(state, T + 10))

interface Given {
  spec?: Spec
  owner?: string
  priority?: 1 | 2 | 3 | 4 | 5
  atMs?: number
}

/** An experiment that waits for its launch since `atMs`. */
async function queued(
  name: string,
  { spec: given = spec, owner = 'me', priority = 3, atMs = T }: Given = {},
) {
  const id = await reserve(name, owner)
  const policy = { ...DEFAULT_POLICY, priority }
  const state = wished(
    born({ id, name, spec: given, policy, actor: owner, atMs }),
    'setDesiredState',
    'RUNNING',
  )
  return evolve(state, { kind: 'launchIntended', atMs })
}

const started = (state: Experiment, jobId: number): Experiment =>
  evolve(state, { kind: 'jobFound', jobId, atMs: T + 3 })

describe('what was there before', () => {
  test('gets the defaults of today', async () => {
    const url = await postgres.database()
    const pool = openPool(url, () => {})
    const first = new URL('../../store/migrations/0001_experiments.sql', import.meta.url)
    await pool.query(readFileSync(first, 'utf8'))
    await pool.query(
      'create table migration (id serial primary key, name varchar(255) not null, run_on timestamp not null)',
    )
    await pool.query("insert into migration (name, run_on) values ('0001_experiments', now())")
    await pool.query(
      `insert into experiment (name, spec, created_by, desired_state, desired_actor, phase, exit_code, revision)
       values ('old', '{"nodes": 2}', 'ann', 'RUNNING', 'ann', 'failed', 3, 9)`,
    )
    await migrate(url, () => {})
    expect(await getExperiment(pool, 'old')).toMatchObject({
      policy: DEFAULT_POLICY,
      owner: 'ann',
      spec: { executor: 'managed', nodes: 2 },
      headline: 'code-failed',
      evidence: [],
      jobKey: null,
    })
    await pool.end()
  })
})

describe('the projection', () => {
  test('carries the headline, its reasons, the policy and the hold', async () => {
    const state = await queued('exp', { owner: 'ann', priority: 1 })
    await put(wished(state, 'hold', { actor: 'bob', reason: 'looking at it' }))
    expect(await getExperiment(db, 'exp')).toMatchObject({
      owner: 'ann',
      policy: { ...DEFAULT_POLICY, priority: 1 },
      headline: 'held',
      heldBy: 'bob',
      heldReason: 'looking at it',
      evidence: ['held by bob: looking at it'],
      next: 'release it, and SkyDeck goes on',
      queuedAtMs: T,
    })
  })

  test('a job on a cluster is known by its attempt, and never taken for a managed job of the same number', async () => {
    const state = started(await queued('exp', { spec: onCluster }), 1)
    await put(state)
    const { id } = state
    const row = await getExperiment(db, 'exp')
    expect(row).toMatchObject({ jobId: 1, jobKey: `${id}.1.1`, clusterName: `exp-${id}` })
    expect(await getAttemptByJob(db, 1)).toBeUndefined()
    expect(await getAttempt(db, { experimentId: id, run: 1, attempt: 1 })).toMatchObject({
      clusterName: `exp-${id}`,
    })
    expect(await listLiveAttempts(db, null)).toMatchObject([{ jobId: 1, clusterName: `exp-${id}` }])
    const managed = started(await queued('other'), 1)
    await put(managed)
    expect(await getAttemptByJob(db, 1)).toMatchObject({ experimentId: managed.id })
    expect(await getExperiment(db, 'other')).toMatchObject({ jobKey: '1' })
  })
})

describe('deleting can be undone', () => {
  test('a newer state that is not deleted is found again, an older one is not', async () => {
    const state = await queued('exp')
    const deleted = wished(state, 'delete', {})
    await put(deleted)
    await put(state)
    expect(await getExperiment(db, 'exp')).toBeUndefined()
    expect(await getDeleted(db, 'exp')).toMatchObject({ id: state.id })
    await put(wished(deleted, 'undelete', {}))
    expect(await getExperiment(db, 'exp')).toMatchObject({ id: state.id, deletedAtMs: null })
  })

  test('a name that went to another meanwhile stays with it', async () => {
    const state = await queued('exp')
    const deleted = wished(state, 'delete', {})
    await put(deleted)
    const other = await reserve('exp')
    expect(await reviveRow(db, state.id)).toBe(false)
    await put(wished(deleted, 'undelete', {}))
    expect((await getExperiment(db, 'exp'))?.id).toBe(other)
    expect(await getExperiment(db, String(state.id))).toMatchObject({ name: `exp-${state.id}` })
  })

  test('a row that was brought back can be taken away again', async () => {
    const state = await queued('exp')
    const deleted = wished(state, 'delete', {})
    await put(deleted)
    const before = (await getDeleted(db, 'exp'))!
    expect(await reviveRow(db, state.id)).toBe(true)
    expect(await getExperiment(db, 'exp')).toMatchObject({ id: state.id })
    await buryRow(db, before)
    expect(await getDeleted(db, 'exp')).toEqual({ ...before, updatedAtMs: expect.any(Number) as number })
    await put(wished(deleted, 'undelete', {}))
    await buryRow(db, before)
    expect(await getExperiment(db, 'exp')).toMatchObject({ id: state.id })
  })

  test('a new name is taken back only from a row of which nothing was heard since', async () => {
    const state = await queued('exp')
    await put(state)
    const before = (await getExperiment(db, 'exp'))!
    await renameExperiment(db, state.id, 'new')
    const other = await reserve('exp')
    await takeBackName(db, before)
    expect((await getExperiment(db, 'exp'))?.id).toBe(other)
    await unreserve(db, other)
    await takeBackName(db, before)
    expect((await getExperiment(db, 'exp'))?.id).toBe(state.id)
    await put(wished(state, 'edit', { name: 'new', spec: {} }))
    await takeBackName(db, before)
    expect((await getExperiment(db, 'new'))?.id).toBe(state.id)
  })

  test('its log goes on where it ended', async () => {
    const state = await queued('exp')
    await put(state)
    expect(await nextSeq(db, state.id)).toBe(state.nextSeq)
    expect(await nextSeq(db, await reserve('new'))).toBe(1)
  })
})

describe('the start queue', () => {
  test('goes by priority, then by turns between owners, then by age', async () => {
    const wanted: Array<[string, Given]> = [
      ['ann-1', { owner: 'ann', atMs: T }],
      ['ann-2', { owner: 'ann', atMs: T + 1 }],
      ['ann-3', { owner: 'ann', atMs: T + 2 }],
      ['bob-1', { owner: 'bob', atMs: T + 3 }],
      ['bob-2', { owner: 'bob', atMs: T + 4 }],
      ['urgent', { owner: 'ann', priority: 1, atMs: T + 5 }],
    ]
    const ids = new Map<string, number>()
    for (const [name, given] of wanted) {
      const state = await queued(name, given)
      ids.set(name, state.id)
      await put(state)
    }
    const order = await listQueue(db, 10)
    expect(order.map(({ name }) => name)).toEqual(['urgent', 'ann-1', 'bob-1', 'ann-2', 'bob-2', 'ann-3'])
    expect(order.map(({ place, of }) => [place, of])).toEqual([1, 2, 3, 4, 5, 6].map((place) => [place, 6]))
    const bob = ids.get('bob-1') ?? 0
    expect(await queuePlaces(db, [bob, 99])).toEqual(new Map([[bob, { place: 3, of: 6 }]]))
    expect(await queuePlaces(db, [])).toEqual(new Map())
  })

  test('what is launched or deleted waits no more', async () => {
    const one = await queued('one')
    const two = await queued('two')
    await put(started(one, 7))
    await put(wished(two, 'delete', {}))
    expect(await listQueue(db, 10)).toEqual([])
  })

  test('experiments are found by their headline', async () => {
    await put(await queued('waits'))
    await put(started(await queued('goes'), 7))
    expect((await listExperiments(db, { headlines: ['queued'], limit: 9 })).map(({ name }) => name)).toEqual([
      'waits',
    ])
  })
})

describe('what the fleet asks', () => {
  test('living experiments by their exact names', async () => {
    const state = await queued('gone')
    await put(wished(state, 'delete', {}))
    const id = await reserve('here')
    expect(await findByNames(db, ['here', 'her', 'gone', 'nowhere'])).toEqual(new Map([['here', id]]))
  })

  test('one that is being deleted is still looked after, until nothing is left of it', async () => {
    const state = wished(started(await queued('exp'), 7), 'delete', {})
    await put(state)
    expect(await knownExperiments(db, [state.id, 999])).toEqual(new Set([state.id]))
    const over = evolve(state, { kind: 'vanished', jobId: 7, jobName: `exp-${state.id}.1.1`, atMs: T + 9 })
    await put(over)
    expect(await knownExperiments(db, [state.id])).toEqual(new Set())
  })

  test('one that is being deleted is there by its id, until nothing is left of it and of a second job', async () => {
    const state = wished(started(await queued('exp'), 7), 'delete', {})
    const idOf = String(state.id)
    const isThere = async () => [
      (await getPresent(db, idOf)) !== undefined,
      (await listExperiments(db, { which: 'being-deleted', limit: 9 })).length === 1,
    ]
    await put(state)
    expect(await isThere()).toEqual([true, true])
    expect(await getPresent(db, 'exp')).toBeUndefined()
    expect(await listExperiments(db, { limit: 9 })).toEqual([])
    expect(await listExperiments(db, { which: 'both', limit: 9 })).toHaveLength(1)
    await put(evolve(state, { kind: 'vanished', jobId: 7, jobName: `exp-${state.id}.1.1`, atMs: T + 9 }))
    expect(await isThere()).toEqual([false, false])
    await db.query("update experiment set headline = 'two-jobs' where id = $1", [state.id])
    expect(await isThere()).toEqual([true, true])
  })

  test('clusters are expected as long as they may exist, also while their experiment is deleted', async () => {
    const state = started(await queued('exp', { spec: onCluster }), 1)
    const clusterName = `exp-${state.id}`
    await put(state)
    expect(await listExpectedClusters(db)).toMatchObject([{ experimentId: state.id, clusterName }])
    await put(wished(state, 'delete', {}))
    expect(await listExpectedClusters(db)).toMatchObject([{ experimentId: state.id, clusterName }])
  })

  test('orphans come, stay with their first time, end, and come again as new', async () => {
    const job = { key: '7', name: 'stranger', status: 'RUNNING', detail: null }
    await seeOrphans(db, 'job', [job, job, { ...job, key: '8' }], T)
    await seeOrphans(db, 'cluster', [{ ...job, name: 'idle', detail: 'L4:1' }], T)
    await seeOrphans(db, 'job', [{ ...job, status: 'CANCELLING' }], T + 1_000)
    expect(await listOrphans(db)).toEqual([
      { ...job, kind: 'cluster', name: 'idle', detail: 'L4:1', firstSeenAtMs: T, seenAtMs: T },
      { ...job, kind: 'job', status: 'CANCELLING', firstSeenAtMs: T, seenAtMs: T + 1_000 },
    ])
    await seeOrphans(db, 'job', [], T + 500)
    expect(await listOrphans(db)).toHaveLength(2)
    await seeOrphans(db, 'job', [], T + 2_000)
    expect(await listOrphans(db)).toHaveLength(1)
    await seeOrphans(db, 'job', [job], T + 3_000)
    expect(await listOrphans(db)).toMatchObject([{ kind: 'cluster' }, { key: '7', firstSeenAtMs: T + 3_000 }])
  })
})

describe('the lease of an attempt', () => {
  const attempt = { experimentId: 1, run: 1, attempt: 1 }

  test('goes to the first that asks, again to the same, and to no other', async () => {
    expect(await takeLease(db, { ...attempt, holder: 'a' })).toBe('taken')
    expect(await takeLease(db, { ...attempt, holder: 'b' })).toBe('held')
    expect(await takeLease(db, { ...attempt, holder: 'a' })).toBe('renewed')
    expect(await takeLease(db, { ...attempt, attempt: 2, holder: 'b' })).toBe('taken')
  })

  test('of fifty that ask at once one gets it', async () => {
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, at) => takeLease(db, { ...attempt, holder: `job ${at}` })),
    )
    expect(answers.filter((answer) => answer === 'taken')).toHaveLength(1)
    expect(answers.filter((answer) => answer === 'held')).toHaveLength(49)
  })
})
