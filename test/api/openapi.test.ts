import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { memoryApp } from '../support/memory-app.ts'

const DOCUMENT = new URL('../../docs/openapi.json', import.meta.url)

test('the committed description of the API is the one that is served', async () => {
  const answer = await memoryApp().request('/api/openapi.json')
  const served: unknown = await answer.json()
  // A change of the API is made visible by writing the document anew: SKYDECK_WRITE=1 npm run test:unit
  if (process.env['SKYDECK_WRITE']) writeFileSync(DOCUMENT, JSON.stringify(served, null, 2))
  expect(served).toEqual(JSON.parse(readFileSync(DOCUMENT, 'utf8')))
})

describe('who may ask', () => {
  const json = { 'content-type': 'application/json' }

  test.each(['evil.example', 'evil.example:7777', 'localhost.evil.example'])(
    'a console does not answer as %s',
    async (host) => {
      const answer = await memoryApp().request('/api/experiments', { headers: { host } })
      expect(answer.status).toBe(421)
    },
  )

  test.each(['localhost:7777', '127.0.0.1', '[::1]:7777'])('it does as %s', async (host) => {
    expect((await memoryApp().request('/assets/desk.css', { headers: { host } })).status).toBe(200)
  })

  test("another site's form is refused, a program is not", async () => {
    const form = { method: 'POST', body: new URLSearchParams({ state: 'RUNNING' }) }
    const foreign = { ...form, headers: { host: 'localhost', origin: 'http://evil.example' } }
    expect((await memoryApp().request('/e/1/state', foreign)).status).toBe(403)
    const program = { method: 'DELETE', headers: { host: 'localhost' } }
    expect((await memoryApp().request('/api/experiments/1', program)).status).not.toBe(403)
  })

  test.each(['/', '/assets/desk.css', '/nowhere', '/api/nowhere', '/api/health'])(
    '%s carries the headers that protect it',
    async (path) => {
      const answer = await memoryApp().request(path, { headers: { host: 'localhost', accept: 'text/html' } })
      const policy = answer.headers.get('content-security-policy') ?? ''
      expect(policy).toContain("default-src 'none'")
      expect(policy).not.toContain('unsafe')
      expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
      expect(answer.headers.get('x-frame-options')).toBe('DENY')
      expect(answer.headers.get('x-request-id')).toMatch(/\S/)
    },
  )

  test('bad input gets a problem that says what, where and how', async () => {
    const body = JSON.stringify({ name: 'ok', nodes: 0, flags: { 'a b': 1 } })
    const answer = await memoryApp().request('/api/experiments', {
      method: 'POST',
      headers: { ...json, host: 'localhost' },
      body,
    })
    expect(answer.status).toBe(422)
    expect(answer.headers.get('content-type')).toContain('application/problem+json')
    expect(await answer.json()).toMatchObject({
      detail: expect.stringContaining('nodes: must be a whole number from 1 to 1000') as unknown,
      errors: [{ field: 'nodes' }, { field: 'flags' }],
    })
  })

  test('Postgres away is a 503 that says so, as JSON and as a page', async () => {
    const away = memoryApp({ fail: new Error('connect ECONNREFUSED 127.0.0.1:5432') })
    const answer = await away.request('/api/health', { headers: { host: 'localhost' } })
    expect(answer.status).toBe(503)
    expect(await answer.json()).toMatchObject({
      detail: expect.stringContaining('Postgres cannot be reached') as unknown,
    })
    const page = await away.request('/', { headers: { host: 'localhost', accept: 'text/html' } })
    expect(page.status).toBe(503)
    expect(await page.text()).toContain('Postgres cannot be reached')
  })

  test('an asset that the browser has is not sent again', async () => {
    const first = await memoryApp().request('/assets/htmx.js', { headers: { host: 'localhost' } })
    const etag = first.headers.get('etag') ?? ''
    const again = await memoryApp().request('/assets/htmx.js', {
      headers: { host: 'localhost', 'if-none-match': etag },
    })
    expect([first.status, again.status]).toEqual([200, 304])
  })
})
