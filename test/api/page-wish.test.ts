import { describe, expect, test } from 'vitest'
import { TestApi } from '../support/test-api.ts'

const api = new TestApi()
const { ask, page, create } = api

const DAY_MS = 86_400_000

/** The number that the buttons of a page send along. */
async function shownBy(path: string): Promise<string> {
  const html = await (await page(path)).text()
  return /name="generation" value="(\d+)"/.exec(html)?.[1] ?? 'none'
}

const press = (id: number, state: string, generation: string, more: Record<string, string> = {}) =>
  page(`/e/${id}/state`, { state, generation, region: 'summary', ...more })

/** The same with script, which swaps a piece of the page. */
const pressWithScript = (id: number, form: Record<string, string>) =>
  api.request(`/e/${id}/state`, {
    method: 'POST',
    headers: { host: 'localhost', accept: 'text/html', 'hx-request-type': 'partial' },
    body: new URLSearchParams(form),
  })

/** As if what is wanted now had been said so long ago. */
function age(id: number, ms: number): void {
  const state = api.core.states.get(id)!
  api.core.states.set(id, { ...state, desired: { ...state.desired, atMs: state.desired.atMs - ms } })
}

const wanted = (id: number) => api.core.states.get(id)?.desired

describe('a page that was left open', () => {
  test('stops no run that it does not show, and says what is wanted now', async () => {
    const id = await create('exp')
    const old = await shownBy(`/e/${id}`)
    await ask('POST', `/api/experiments/${id}/state`, { desired_state: 'RUNNING' })
    const answer = await press(id, 'STOPPED', old)
    expect(answer.status).toBe(409)
    const html = await answer.text()
    expect(html).toMatch(/Nothing was done.*RUNNING is wanted by ann/)
    expect(html).toContain(`name="generation" value="${wanted(id)?.generation}"`)
    expect(wanted(id)?.state).toBe('RUNNING')
  })

  test('starts no other run, not by its own person either, who said so yesterday', async () => {
    const id = await create('exp')
    const old = await shownBy('/')
    await press(id, 'RUNNING', old)
    await press(id, 'STOPPED', await shownBy(`/e/${id}`))
    age(id, DAY_MS)
    expect((await press(id, 'RUNNING', old)).status).toBe(409)
    expect(api.core.states.get(id)?.run).toBe(1)
  })

  test('is brought up to date where it is, with the reason above it', async () => {
    const id = await create('exp')
    const old = await shownBy('/')
    await ask('POST', `/api/experiments/${id}/state`, { desired_state: 'RUNNING' })
    const answer = await pressWithScript(id, { state: 'TERMINATED', generation: old, region: 'row' })
    expect(answer.status).toBe(409)
    const html = await answer.text()
    expect(html).toMatch(new RegExp(`hx-target="#e-${id}".*value="${wanted(id)?.generation}"`, 's'))
    expect(html).toMatch(/hx-target="#notice".*Nothing was done/s)
    const again = await shownBy('/')
    expect((await press(id, 'TERMINATED', again)).status).toBe(303)
    expect(wanted(id)?.state).toBe('TERMINATED')
  })

  test('may ask for what is so already', async () => {
    const id = await create('exp')
    const old = await shownBy('/')
    await ask('POST', `/api/experiments/${id}/state`, { desired_state: 'TERMINATED' })
    expect((await press(id, 'TERMINATED', old)).status).toBe(303)
  })
})

describe('somebody who clicks fast', () => {
  test('is never refused for their own clicks, before any page shows them', async () => {
    const id = await create('exp')
    const old = await shownBy('/')
    for (const state of ['RUNNING', 'STOPPED', 'RUNNING', 'TERMINATED'])
      expect((await press(id, state, old)).status).toBe(303)
    expect(wanted(id)).toMatchObject({ state: 'TERMINATED', actor: 'you' })
    expect(api.core.states.get(id)?.run).toBe(2)
  })

  test('gets the new number with the answer, though the tables are late', async () => {
    const id = await create('exp')
    const { experiments } = api.core
    // The wish is taken, and no projection comes.
    const late: typeof experiments = {
      ...experiments,
      setDesiredState: async () => ({ accepted: true, generation: 9, revision: 99 }),
    }
    api.serve({ experiments: late })
    const answer = await pressWithScript(id, { state: 'RUNNING', generation: '1', region: 'row' })
    expect(await answer.text()).toContain('name="generation" value="9"')
  })
})
