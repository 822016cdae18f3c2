import { describe, expect, test } from 'vitest'
import { touchSource } from '../../store/sources.ts'
import { TestApi } from '../support/test-api.ts'

const api = new TestApi()
const { ask, page, create } = api

describe('the health', () => {
  const health = async () => (await ask('GET', '/api/health')).body
  const looked = (look: { ok: boolean; error: string | null; agoMs: number }) =>
    touchSource(api.db, { name: 'skypilot', ...look, atMs: Date.now() - look.agoMs })

  test('is good while looks come and succeed', async () => {
    expect(await health()).toMatchObject({ status: 'degraded', skypilot: { running: false } })
    await looked({ ok: true, error: null, agoMs: 1_000 })
    expect(await health()).toMatchObject({ status: 'ok', skypilot: { running: true, error: null } })
    await looked({ ok: false, error: 'no answer', agoMs: 0 })
    expect(await health()).toMatchObject({ status: 'degraded', skypilot: { error: 'no answer' } })
  })

  test('counts every job that may be on machines, also one that starts', async () => {
    for (const [at, phase] of ['starting', 'running', 'finishing', 'queued', 'failed'].entries()) {
      const id = await create(`exp-${at}`)
      await api.db.query('update experiment set phase = $2 where id = $1', [id, phase])
    }
    expect(await health()).toMatchObject({ num_experiments: 5, num_running_jobs: 3 })
  })

  test('is not, when the last look was fine and nobody has looked since', async () => {
    await looked({ ok: true, error: null, agoMs: 60_000 })
    const nobody = expect.stringContaining('nobody has looked') as unknown
    expect(await health()).toMatchObject({ status: 'degraded', skypilot: { running: false, error: nobody } })
    expect(await (await page('/')).text()).toMatch(/class="sources bad".*nobody has looked/s)
  })
})
