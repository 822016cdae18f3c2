import { beforeEach, describe, expect, test } from 'vitest'
import { fenceToken } from '../../runtime/fence-token.ts'
import { seeOrphans } from '../../store/fleet.ts'
import { noteSilentQueues, touchSource } from '../../store/sources.ts'
import { TestApi } from '../support/test-api.ts'

const SECRET = 'a secret of this test'

const api = new TestApi(SECRET)
const { ask, page, create, run } = api

describe('how an experiment is treated', () => {
  const treated = {
    executor: 'cluster',
    restart_policy: { when: 'on-failure', failures: 'infrastructure', exit_codes: [137], max_restarts: 3 },
    max_run_seconds: 5400,
    max_age_seconds: 86_400,
    priority: 1,
    drift: 'heal',
    autostop_minutes: 15,
  }

  test('is taken at the creation, and what was not said has its default', async () => {
    const id = await create('exp', treated)
    const { body } = await ask('GET', `/api/experiments/${id}`)
    expect(body.experiment).toMatchObject({
      ...treated,
      restart_policy: { ...treated.restart_policy, backoff_seconds: 10, healthy_seconds: 600 },
      owner: 'ann',
      headline: 'idle',
    })
    expect(api.core.states.get(id)).toMatchObject({
      spec: { executor: 'cluster' },
      policy: { maxRunMs: 5_400_000, priority: 1, restart: { exitCodes: [137], backoffMs: 10_000 } },
    })
  })

  test('changes at once, while what it runs waits for the next run', async () => {
    const id = await create('exp')
    await run(id, 7)
    const change = { nodes: 2, priority: 2, restart_policy: { max_restarts: 5 }, description: 'x' }
    const { body } = await ask('PATCH', `/api/experiments/${id}`, change)
    expect(body.applies).toEqual({ now: ['description', 'restart_policy', 'priority'], next_run: ['nodes'] })
    expect(body.experiment).toMatchObject({ nodes: 2, priority: 2, restart_policy: { max_restarts: 5 } })
    expect(body.experiment.restart_policy.backoff_seconds).toBe(10)
  })

  test.each([
    [{ priority: 6 }, 'priority'],
    [{ executor: 'pod' }, 'executor'],
    [{ max_run_seconds: -1 }, 'max_run_seconds'],
    [{ restart_policy: { when: 'sometimes' } }, 'restart_policy.when'],
    [{ restart_policy: { exit_codes: [256] } }, 'restart_policy.exit_codes.0'],
    [{ drift: 'panic' }, 'drift'],
    [{ autostop_minutes: 1.5 }, 'autostop_minutes'],
  ])('%j is refused, and the field is named', async (given, field) => {
    const { status, body } = await ask('POST', '/api/experiments', { name: 'exp', ...given })
    expect(status).toBe(422)
    expect(body.errors.map(({ field: each }) => each)).toEqual([field])
  })

  test('what no workflow could carry is refused at the door, at an edit too', async () => {
    const setup = 'x'.repeat(60_000)
    const long = { setup, flags: { a: 'y'.repeat(8_000) } }
    expect(await ask('POST', '/api/experiments', { name: 'long', ...long })).toMatchObject({
      status: 422,
      body: { detail: expect.stringContaining('may be 65536') as unknown },
    })
    const id = await create('exp', { setup })
    expect((await ask('PATCH', `/api/experiments/${id}`, { flags: long.flags })).status).toBe(422)
    expect((await ask('PATCH', `/api/experiments/${id}`, { name: 'other', flags: long.flags })).status).toBe(
      422,
    )
    expect((await ask('GET', `/api/experiments/${id}`)).body.experiment.name).toBe('exp')
  })
})

describe('what people say', () => {
  test('hold and release, with and without a reason', async () => {
    const id = await create('exp')
    const { body } = await ask('POST', '/api/experiments/exp/hold', { reason: 'I look at it' })
    expect(body.experiment).toMatchObject({ headline: 'held', held_by: 'ann', held_reason: 'I look at it' })
    expect((await ask('POST', `/api/experiments/${id}/release`)).body.experiment.held_by).toBeNull()
  })

  test('"I checked by hand" wants to know how', async () => {
    const id = await create('exp')
    expect((await ask('POST', `/api/experiments/${id}/confirm-gone`, { reason: ' ' })).status).toBe(422)
    const idle = await ask('POST', `/api/experiments/${id}/confirm-gone`, { reason: 'looked' })
    expect(idle).toMatchObject({ status: 422, body: { detail: 'nothing of it is believed to run' } })
    await run(id, 7)
    const { status, body } = await ask('POST', `/api/experiments/${id}/confirm-gone`, { reason: 'looked' })
    expect(status).toBe(200)
    expect(body.experiment.phase).toBe('lost')
  })

  test('a deletion is undone while the clean-up goes on, and its workflow is told', async () => {
    const id = await create('exp')
    await ask('DELETE', `/api/experiments/${id}`)
    expect((await ask('GET', `/api/experiments/${id}`)).status).toBe(404)
    const { body } = await ask('POST', `/api/experiments/${id}/undelete`)
    expect(body.experiment).toMatchObject({ id, name: 'exp', deleted: false })
    expect(api.core.states.get(id)?.deleted).toBe(false)
    expect(api.core.restored).toEqual([])
  })

  test('a deletion is undone after the workflow is gone, and its numbers go on', async () => {
    const id = await create('exp', { priority: 1 })
    await run(id, 7)
    const { run: ran, nextSeq, policy } = api.core.states.get(id)!
    await ask('DELETE', '/api/experiments/exp')
    api.core.states.delete(id)
    const { status, body } = await ask('POST', '/api/experiments/exp/undelete')
    expect(status).toBe(200)
    expect(body.experiment).toMatchObject({ id, run: ran, priority: 1 })
    expect(api.core.restored).toMatchObject([
      { id, name: 'exp', run: ran, nextSeq: nextSeq + 1, policy, owner: 'ann' },
    ])
  })

  test('a name that somebody took meanwhile stays theirs', async () => {
    const id = await create('exp')
    await ask('DELETE', `/api/experiments/${id}`)
    await create('exp')
    expect((await ask('POST', `/api/experiments/${id}/undelete`)).status).toBe(409)
    expect((await ask('POST', '/api/experiments/999/undelete')).status).toBe(404)
  })

  test('while Temporal is away nothing is brought back half', async () => {
    const id = await create('exp')
    await ask('DELETE', `/api/experiments/${id}`)
    api.core.isAway = true
    expect((await ask('POST', `/api/experiments/${id}/undelete`)).status).toBe(503)
    expect((await ask('GET', `/api/experiments/${id}`)).status).toBe(404)
    api.core.isAway = false
    expect((await ask('POST', `/api/experiments/${id}/undelete`)).status).toBe(200)
  })

  test('a deletion that reaches the tables late hides what was brought back for a moment only', async () => {
    const id = await create('exp')
    await ask('DELETE', `/api/experiments/${id}`)
    const undelete = api.core.experiments.undelete.bind(api.core.experiments)
    api.core.experiments.undelete = async (...given) => {
      await api.db.query('update experiment set deleted_at = now() where id = $1', [id])
      const revision = api.core.states.get(id)!.revision + 1
      setTimeout(() => void undelete(...given), 100)
      return { accepted: true, generation: 1, revision }
    }
    api.serve({ experiments: api.core.experiments, fenceSecret: SECRET })
    expect((await ask('POST', `/api/experiments/${id}/undelete`)).status).toBe(200)
    expect((await ask('GET', `/api/experiments/${id}`)).status).toBe(200)
  })

  test('an edit that is not taken leaves the old name', async () => {
    const id = await create('exp')
    api.core.isAway = true
    expect((await ask('PATCH', `/api/experiments/${id}`, { name: 'other', nodes: 2 })).status).toBe(503)
    expect((await ask('GET', `/api/experiments/${id}`)).body.experiment.name).toBe('exp')
  })

  test('after deleting in the console the deletion can be undone there', async () => {
    const id = await create('exp')
    const deleted = await page(`/e/${id}/delete`, {})
    const html = await (await page(deleted.headers.get('location') ?? '')).text()
    expect(html).toMatch(/exp is deleted.*action="\/e\/1\/undelete"/s)
    expect(await (await page('/activity')).text()).toContain(`action="/e/${id}/undelete"`)
    expect((await page(`/e/${id}/undelete`, {})).headers.get('location')).toBe(`/e/${id}`)
    expect(await (await page('/activity')).text()).not.toContain('/undelete')
  })
})

describe('what belongs to nobody', () => {
  beforeEach(async () => {
    const job = { key: '41', name: 'stranger', status: 'RUNNING', detail: null }
    await seeOrphans(api.db, 'job', [job], Date.now())
    await seeOrphans(
      api.db,
      'cluster',
      [{ ...job, key: 'left/over', name: 'left/over', status: 'UP' }],
      Date.now(),
    )
  })

  test('is listed, and ended only if it is there', async () => {
    const { body } = await ask('GET', '/api/orphans')
    expect(body.orphans).toMatchObject([
      { kind: 'job', key: '41', name: 'stranger' },
      { kind: 'cluster', key: 'left/over' },
    ])
    expect((await ask('POST', '/api/orphans/job/42/end')).status).toBe(404)
    expect((await ask('POST', '/api/orphans/job/41/end')).status).toBe(200)
    expect((await ask('POST', `/api/orphans/cluster/${encodeURIComponent('left/over')}/end`)).status).toBe(
      200,
    )
    expect(api.core.ended).toEqual([
      { kind: 'job', jobId: 41 },
      { kind: 'cluster', name: 'left/over' },
    ])
  })

  test('is adopted, the name of a known job being known', async () => {
    const id = await create('exp')
    const { body } = await ask('POST', `/api/experiments/${id}/adopt`, { job_id: 41 })
    expect(body.experiment).toMatchObject({ desired_state: 'RUNNING', job: '41', job_id: 41 })
    const other = await create('other')
    expect((await ask('POST', `/api/experiments/${other}/adopt`, { job_id: 41 })).status).toBe(409)
    expect((await ask('POST', `/api/experiments/${other}/adopt`, { job_id: 55 })).status).toBe(422)
    expect((await ask('POST', `/api/experiments/${other}/adopt`, {})).status).toBe(422)
    const cluster = { cluster_name: 'left/over' }
    expect((await ask('POST', `/api/experiments/${other}/adopt`, cluster)).body.experiment).toMatchObject({
      headline: 'adopted',
      cluster: { name: 'left/over' },
    })
    const third = await create('third')
    expect((await ask('POST', `/api/experiments/${third}/adopt`, cluster)).status).toBe(409)
  })

  test('is not adopted under a name that is not its own', async () => {
    const id = await create('exp')
    const typo = { job_id: 41, job_name: 'strangr' }
    const refused = await ask('POST', `/api/experiments/${id}/adopt`, typo)
    expect(refused).toMatchObject({
      status: 422,
      body: { errors: [{ field: 'job_name' }] },
    })
    expect(JSON.stringify(refused.body)).toContain('job 41 is called stranger, not strangr')
    expect((await ask('GET', `/api/experiments/${id}/status`)).body.experiment).toMatchObject({ run: 0 })
    const named = { job_id: 41, job_name: 'stranger' }
    expect((await ask('POST', `/api/experiments/${id}/adopt`, named)).status).toBe(200)
  })

  test('is ended no more once an experiment has it, on whatever page it still stands', async () => {
    const [job, cluster] = [await create('exp'), await create('other')]
    await ask('POST', `/api/experiments/${job}/adopt`, { job_id: 41 })
    await ask('POST', `/api/experiments/${cluster}/adopt`, { cluster_name: 'left/over' })
    expect((await ask('GET', '/api/orphans')).body.orphans).toEqual([])
    expect((await page('/orphans/job/41/end', {})).status).toBe(404)
    // A look that began before the adoption ends after it.
    const seen = { key: '41', name: 'stranger', status: 'RUNNING', detail: null }
    await seeOrphans(api.db, 'job', [seen], Date.now())
    await seeOrphans(api.db, 'cluster', [{ ...seen, key: 'left/over', name: 'left/over' }], Date.now())
    expect(await ask('POST', '/api/orphans/job/41/end')).toMatchObject({
      status: 409,
      body: { detail: `job 41 belongs to experiment ${job} (exp)` },
    })
    expect((await ask('POST', `/api/orphans/cluster/${encodeURIComponent('left/over')}/end`)).status).toBe(
      409,
    )
    expect(api.core.ended).toEqual([])
  })

  test.each(['sky-jobs-controller-1a2b', 'sky-serve-controller-1a2b'])(
    'is neither ended nor adopted where it is %s',
    async (name) => {
      const controller = { key: name, name, status: 'UP', detail: null }
      await seeOrphans(api.db, 'cluster', [controller], Date.now())
      const id = await create('exp')
      expect(await ask('POST', `/api/orphans/cluster/${name}/end`)).toMatchObject({
        status: 409,
        body: { detail: expect.stringContaining("SkyPilot's own") as unknown },
      })
      expect((await ask('POST', `/api/experiments/${id}/adopt`, { cluster_name: name })).status).toBe(409)
      expect(api.core.ended).toEqual([])
    },
  )

  test('has a page where both can be done, and the list leads to it', async () => {
    expect(await (await page('/')).text()).toContain('href="/orphans"')
    await create('exp')
    const html = await (await page('/orphans')).text()
    expect(html).toContain('action="/orphans/cluster/left%2Fover/end"')
    const ended = await page('/orphans/cluster/left%2Fover/end', {})
    expect(ended.headers.get('location')).toBe('/orphans?ended=cluster+left%2Fover')
    const adopted = await page('/orphans/job/41/adopt', { experiment: 'exp' })
    expect(adopted.headers.get('location')).toBe('/e/1')
    expect((await page('/orphans/job/41/adopt', { experiment: 'nobody' })).status).toBe(404)
  })
})

describe('the start queue', () => {
  test('shows who is where, everywhere', async () => {
    const [first, second] = [await create('a'), await create('b', { priority: 1 })]
    for (const id of [first, second]) {
      await ask('POST', `/api/experiments/${id}/state`, { desired_state: 'RUNNING' })
      await api.core.learn(id, { kind: 'launchIntended', atMs: Date.now() })
    }
    const { body } = await ask('GET', '/api/queue')
    expect(body).toMatchObject({
      total: 2,
      queue: [
        { name: 'b', place: 1, priority: 1 },
        { name: 'a', place: 2 },
      ],
    })
    const list = (await ask('GET', '/api/experiments?headline=queued')).body
    expect(list.total).toBe(2)
    expect(new Map(list.experiments.map(({ name, queue }) => [name, queue]))).toEqual(
      new Map([
        ['a', { place: 2, of: 2 }],
        ['b', { place: 1, of: 2 }],
      ]),
    )
    expect(await (await page('/')).text()).toMatch(/href="\/queue".*place 2 of 2/s)
    expect(await (await page('/queue')).text()).toMatch(/>b<.*>a</s)
    expect(await (await page(`/e/${first}`)).text()).toContain('Place 2 of 2')
  })
})

describe('what cannot be seen', () => {
  const look = (agoMs: number) =>
    touchSource(api.db, { name: 'skypilot', ok: true, error: null, atMs: Date.now() - agoMs })

  test('is told as last seen when the last good look is old, and as it was when it is back', async () => {
    const id = await create('exp')
    await run(id, 7)
    const resting = await create('resting')
    await look(60_000)
    const { experiment } = (await ask('GET', `/api/experiments/${id}`)).body
    expect(experiment).toMatchObject({ headline: 'cannot-see', phase: 'waiting' })
    expect(Date.now() - Date.parse(experiment.headline_since)).toBeGreaterThan(59_000)
    expect((await ask('GET', `/api/experiments/${resting}`)).body.experiment.headline).toBe('idle')
    const html = await (await page('/')).text()
    expect(html).toMatch(/class="status unseen".*last seen waiting/s)
    await look(1_000)
    expect((await ask('GET', `/api/experiments/${id}`)).body.experiment.headline).toBe('waiting-for-skypilot')
  })

  test('is one job alone where its cluster does not answer', async () => {
    const other = await create('other')
    await run(other, 7)
    const id = await create('own', { executor: 'cluster' })
    await run(id, 1)
    await look(1_000)
    const wholeAtMs = Date.now() - 60_000
    await noteSilentQueues(api.db, [{ clusterName: `own-${id}`, wholeAtMs, error: 'no way' }], Date.now())
    const { experiment } = (await ask('GET', `/api/experiments/${id}`)).body
    expect(experiment).toMatchObject({ headline: 'cannot-see', why: expect.stringContaining('its cluster') })
    expect(await (await page(`/e/${id}`)).text()).toMatch(/its cluster has not been seen since/)
    expect((await ask('GET', `/api/experiments/${other}`)).body.experiment.headline).toBe(
      'waiting-for-skypilot',
    )
    expect((await ask('GET', '/api/health')).body).toMatchObject({ skypilot: { error: null } })
  })
})

describe('jobs of clusters', () => {
  test('have ids of their own and are cancelled by them', async () => {
    const managed = await create('managed')
    await run(managed, 1)
    const id = await create('own', { executor: 'cluster' })
    await run(id, 1)
    const { body } = await ask('GET', `/api/experiments/${id}/jobs`)
    expect(body.jobs).toMatchObject([{ id: `${id}.1.1`, cluster_name: `own-${id}`, sky_job_id: 1 }])
    expect(body.jobs[0]?.logs_path).toBe(`/api/jobs/${id}.1.1/logs`)
    const { experiment } = (await ask('GET', `/api/experiments/${id}`)).body
    expect(experiment).toMatchObject({ job: `${id}.1.1`, job_id: null, cluster: { name: `own-${id}` } })
    expect((await ask('POST', `/api/jobs/${id}.1.1/cancel`)).status).toBe(200)
    expect(api.core.states.get(id)?.desired.state).toBe('STOPPED')
    expect(api.core.states.get(managed)?.desired.state).toBe('RUNNING')
    expect((await ask('POST', `/api/jobs/${id}.1.2/cancel`)).status).toBe(404)
  })
})

describe('the fence', () => {
  const of = { experimentId: 7, run: 2, attempt: 1 }
  const token = fenceToken(SECRET, of)
  const lease = (holder: unknown, bearer = token, path = '7/2/1') =>
    ask('POST', `/api/fence/${path}`, { holder }, { authorization: `Bearer ${bearer}` })

  test('lets the first job of an attempt in, and again, and no other', async () => {
    expect(await lease('job a')).toMatchObject({ status: 200, body: { lease: 'taken' } })
    expect(await lease('job b')).toMatchObject({ status: 409 })
    expect(await lease('job a')).toMatchObject({ status: 200, body: { lease: 'renewed' } })
  })

  test('knows a token only for the attempt that it was made for', async () => {
    expect((await lease('a', 'x')).status).toBe(401)
    expect((await lease('a', fenceToken(SECRET, { ...of, attempt: 2 }))).status).toBe(401)
    expect((await lease('a', token, '7/2/2')).status).toBe(401)
    expect((await ask('POST', '/api/fence/7/2/1', { holder: 'a' })).status).toBe(401)
    expect((await lease('')).status).toBe(422)
    api.serve({})
    expect((await lease('a')).status).toBe(401)
  })

  test("is closed to other sites' pages like everything else", async () => {
    const answer = await api.request('/api/fence/7/2/1', {
      method: 'POST',
      headers: { host: 'localhost', origin: 'http://evil.example', authorization: `Bearer ${token}` },
      body: new URLSearchParams({ holder: 'a' }),
    })
    expect(answer.status).toBe(403)
  })
})
