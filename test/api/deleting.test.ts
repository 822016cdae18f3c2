import { describe, expect, test } from 'vitest'
import { TestApi } from '../support/test-api.ts'

const api = new TestApi()
const { ask, page, create, run } = api

describe('what is deleted and still there', () => {
  const refusal = { kind: 'actionFailed', action: 'cancel', errorKind: 'SkyPilot.refused' } as const

  /** Its job runs, and SkyPilot refuses to end it. */
  const stuck = async (name: string): Promise<number> => {
    const id = await create(name)
    await run(id, 7)
    await ask('DELETE', `/api/experiments/${id}`)
    await api.core.learn(id, { ...refusal, reason: 'no permission', atMs: Date.now() })
    return id
  }
  /** The last of it goes. */
  const end = (id: number) =>
    api.core.learn(id, { kind: 'vanished', jobId: 7, jobName: `exp-${id}.1.1`, atMs: Date.now() })

  test('is answered by its id until nothing of it is left; its name is free', async () => {
    const id = await stuck('exp')
    const { status, body } = await ask('GET', `/api/experiments/${id}`)
    expect(status).toBe(200)
    expect(body.experiment).toMatchObject({ name: 'exp', deleted: true, phase: 'stopping' })
    expect(body.experiment.why).toContain('no permission')
    expect((await ask('GET', `/api/experiments/${id}/status`)).status).toBe(200)
    expect((await ask('GET', `/api/experiments/${id}/events`)).status).toBe(200)
    expect((await ask('GET', '/api/experiments/exp')).status).toBe(404)
    expect(await create('exp')).not.toBe(id)
    await end(id)
    expect((await ask('GET', `/api/experiments/${id}`)).status).toBe(404)
  })

  test('is listed when it is asked for, and not among the living; its job is listed', async () => {
    const id = await stuck('exp')
    await create('other')
    const deleting = (await ask('GET', '/api/experiments?deleting=true')).body
    expect(deleting).toMatchObject({ total: 1, experiments: [{ id, deleted: true }] })
    const living = (await ask('GET', '/api/experiments')).body
    expect(living).toMatchObject({ total: 1, experiments: [{ name: 'other' }] })
    expect((await ask('GET', '/api/skypilot-jobs')).body.jobs).toMatchObject([{ id: '7' }])
    await end(id)
    expect((await ask('GET', '/api/experiments?deleting=true')).body.total).toBe(0)
  })

  test('takes no wish but that its deletion is undone', async () => {
    const id = await stuck('exp')
    const says = { status: 409, body: { detail: expect.stringContaining('exp is being deleted') as unknown } }
    expect(await ask('POST', `/api/experiments/${id}/state`, { desired_state: 'RUNNING' })).toMatchObject(
      says,
    )
    expect(await ask('PATCH', `/api/experiments/${id}`, { nodes: 2 })).toMatchObject(says)
    expect(await ask('DELETE', `/api/experiments/${id}`)).toMatchObject(says)
    expect(await ask('POST', '/api/jobs/7/cancel')).toMatchObject(says)
    expect((await ask('POST', `/api/experiments/${id}/undelete`)).body.experiment.deleted).toBe(false)
  })

  test('is counted over the list, and has a page with the way back', async () => {
    const id = await stuck('exp')
    const list = await (await page('/')).text()
    expect(list).toMatch(/href="\/\?deleting=1".*being deleted <b>1</s)
    expect(list).not.toContain(`id="e-${id}"`)
    const html = await (await page('/?deleting=1')).text()
    expect(html).toMatch(/id="e-1".*no permission.*action="\/e\/1\/undelete"/s)
    const detail = await (await page(`/e/${id}`)).text()
    expect(detail).toMatch(/action="\/e\/1\/undelete".*may cost money until then/s)
    expect(detail).not.toContain(`action="/e/${id}/state"`)
    await end(id)
    expect(await (await page('/')).text()).not.toContain('being deleted')
    expect((await page(`/e/${id}`)).status).toBe(404)
  })
})
