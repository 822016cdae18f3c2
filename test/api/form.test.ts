import { describe, expect, test } from 'vitest'
import { TestApi } from '../support/test-api.ts'

const { ask, page, create, run } = new TestApi()

describe('the form', () => {
  test('reads lengths of time as people write them, and shows them again', async () => {
    const form = {
      name: 'form',
      command: 'echo',
      max_run_seconds: '1 h 30 min',
      max_age_seconds: '2d',
      restart_when: 'always',
      restart_exit_codes: '1, 137',
      executor: 'cluster',
      autostop_minutes: '',
    }
    const answer = await page('/new', form)
    expect(answer.status).toBe(303)
    const { body } = await ask('GET', '/api/experiments/form')
    expect(body.experiment).toMatchObject({
      max_run_seconds: 5_400,
      max_age_seconds: 172_800,
      executor: 'cluster',
      autostop_minutes: null,
      restart_policy: { when: 'always', exit_codes: [1, 137] },
    })
    const html = await (await page(`/e/${body.experiment.id}/edit`)).text()
    expect(html).toContain('value="1 h 30 min"')
    expect(html).toContain('value="2 d"')
    expect(html).toContain('value="1, 137"')
  })

  test('says of what was changed from when on it holds, and of nothing else', async () => {
    const id = await create('exp')
    await run(id, 7)
    const html = await (await page(`/e/${id}/edit`)).text()
    const field = (name: string): string =>
      new RegExp(`name="${name}"[^>]*value="([^"]*)"`).exec(html)?.[1] ?? ''
    const form = { name: 'exp', command: field('command') || 'true', nodes: '3', gpus: '0', priority: '1' }
    const answer = await page(`/e/${id}/edit`, form)
    expect(answer.status).toBe(303)
    const location = answer.headers.get('location') ?? ''
    expect(location).toMatch(/^\/e\/\d+\?/)
    expect(new URLSearchParams(location.split('?')[1]).get('now')).toBe('priority')
    expect(new URLSearchParams(location.split('?')[1]).get('next')).toContain('nodes')
    expect(await (await page(location)).text()).toContain('Holds now: priority. Holds from the next run on: ')
    expect(await (await page(`/e/${id}?now=<b>,priority`)).text()).toContain('Saved. Holds now: priority.<')
  })

  test('what it cannot read is said beside the field', async () => {
    const form = { name: 'form', command: 'echo', max_run_seconds: 'soon', restart_exit_codes: 'all' }
    const answer = await page('/new', { ...form, restart_max_restarts: '-1' })
    expect(answer.status).toBe(422)
    const html = await answer.text()
    expect(html).toContain('3 fields need another look')
    expect(html).toContain('must be a length of time, such as 90 min or 2 h 30 min')
    expect(html).toContain('must be exit codes such as 1, 137')
    expect(html).toContain('must be a whole number from 0 to 10000')
  })
})
