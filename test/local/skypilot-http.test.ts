import { request as httpRequest } from 'node:http'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { TestSkyPilot } from './skypilot-client.ts'

let sky: TestSkyPilot

beforeAll(async () => {
  sky = await new TestSkyPilot().start()
})
afterEach(() => fetch(`${sky.url}/local/faults`, { method: 'DELETE' }))
afterAll(() => sky.dispose())

const faults = async (...given: Array<Record<string, unknown>>): Promise<void> => {
  const answer = await sky.post('/local/faults', given)
  expect(await answer.json()).toMatchObject(given)
}
const submitted = (name: string): Promise<number> =>
  sky.ledger().then((rows) => rows.filter((row) => row.effect === 'submitted' && row.name === name).length)
const launchBody = (name: string) => ({ task: 'run: "true"\n', name })

describe('answers', () => {
  test.each([
    ['GET', '/nope', 404, { detail: 'Not Found' }],
    ['GET', '/jobs/launch', 405, { detail: 'Method Not Allowed' }],
    ['GET', '/api/get?request_id=none', 404, { detail: "Request 'none' not found" }],
    ['GET', '/api/status?fields=nope', 400, { detail: 'Invalid field: nope' }],
  ])('%s %s is %i', async (method, path, status, body) => {
    const answer = await fetch(`${sky.url}${path}`, { method })
    expect(answer.status).toBe(status)
    expect(await answer.json()).toEqual(body)
    expect(answer.headers.get('x-skypilot-request-id')).toMatch(/^[0-9a-f-]{36}$/)
    expect(answer.headers.get('x-skypilot-version')).toBeNull()
  })

  test('bodies that do not fit are 422 and say where', async () => {
    const missing = await sky.post('/jobs/launch', { name: 'x' })
    expect(missing.status).toBe(422)
    expect(await missing.json()).toEqual({
      detail: [{ type: 'missing', loc: ['body', 'task'], msg: 'Field required', input: { name: 'x' } }],
    })
    const wrong = await sky.post('/jobs/queue/v2', { job_ids: ['x'] })
    expect(await wrong.json()).toMatchObject({ detail: [{ loc: ['body', 'job_ids', 0], input: 'x' }] })
    expect((await sky.post('/status', {}, { body: '{' })).status).toBe(422)
    expect((await sky.post('/status', { env_vars: {} })).status).toBe(500)
  })

  test('versions are agreed upon', async () => {
    const { headers } = await sky.get('/api/health')
    expect(headers.get('x-skypilot-api-version')).toBe('62')
    const old = { 'X-SkyPilot-API-Version': '23', 'X-SkyPilot-Version': '0.9.0' }
    const refused = await fetch(`${sky.url}/api/health`, { headers: old })
    expect(refused.status).toBe(400)
    expect(await refused.json()).toMatchObject({ error: 'version_mismatch' })
  })

  test.each([
    ['run: [', 'ok', 'ValueError'],
    ['run: 3', 'ok', 'ValueError'],
    ['- a list', 'ok', 'ValueError'],
    ['resources: {cpus: banana}', 'ok', 'ValueError'],
    ['run: ls', 'not_ok!', 'InvalidClusterNameError'],
    ['run: ls\n---\nrun: ls', 'ok', 'NotSupportedError'],
    ['workdir: .', 'ok', 'NotSupportedError'],
  ])('a task that cannot be: %j named %s', async (task, name, type) => {
    const id = (await sky.post('/jobs/launch', { task, name })).headers.get('x-skypilot-request-id')!
    const answer = await sky.get(`/api/get?request_id=${id.slice(0, 13)}`)
    expect(answer.status).toBe(500)
    const { detail } = (await answer.json()) as { detail: { status: string; error: string } }
    expect(detail.status).toBe('FAILED')
    expect(JSON.parse(detail.error)).toMatchObject({ type })
  })

  test('there are no clusters', async () => {
    expect(await sky.call('/status')).toEqual([])
    await expect(sky.call('/queue', { cluster_name: 'c1' })).rejects.toThrow('ClusterDoesNotExist')
  })

  test('pages of the web are not served', async () => {
    const post = (headers: Record<string, string>) =>
      new Promise<number | undefined>((resolve, reject) => {
        const call = httpRequest(`${sky.url}/jobs/launch`, { method: 'POST', headers }, (answer) =>
          resolve(answer.resume().statusCode),
        )
        call.on('error', reject).end(JSON.stringify(launchBody('from-a-page')))
      })
    expect(await post({ origin: 'https://evil.example' })).toBe(403)
    expect(await post({ 'sec-fetch-site': 'cross-site' })).toBe(403)
    expect(await post({ host: 'evil.example' })).toBe(421)
    expect(await submitted('from-a-page')).toBe(0)
  })
})

describe('requests', () => {
  test('can be found by what was sent, and cancelled before their effect', async () => {
    await faults({ match: '/jobs/launch', kind: 'hold', delayMs: 60_000, times: 1 })
    const sent = await sky.post('/jobs/launch', launchBody('held'))
    const id = sent.headers.get('x-skypilot-request-id')!
    const [listed] = (await (await sky.get('/api/status')).json()) as Array<Record<string, string>>
    expect(listed).toMatchObject({ request_id: id, name: 'sky.jobs.launch', status: 'PENDING' })
    expect(JSON.parse(listed!['request_body']!)).toMatchObject({ name: 'held' })
    const fields = await sky.get('/api/status?all_status=true&limit=1&fields=status&fields=name')
    expect(await fields.json()).toMatchObject([{ name: 'sky.jobs.launch', request_body: 'null' }])
    const waiting = sky.payload(id)
    expect(await sky.call('/api/cancel', { request_ids: [id] })).toEqual([id])
    expect(await waiting).toMatchObject({ status: 'CANCELLED', return_value: 'null', error: 'null' })
    expect(await submitted('held')).toBe(0)
  })
})

describe('logs', () => {
  test('are followed while they are written', async () => {
    const id = await sky.launch('for i in 1 2 3; do echo "tick $i"; sleep 0.7; done')
    const seen: number[] = []
    const answer = await sky.post('/jobs/logs', { job_id: id })
    const decoder = new TextDecoder()
    for await (const chunk of answer.body as AsyncIterable<Uint8Array>)
      if (decoder.decode(chunk).includes('tick')) seen.push(performance.now())
    // On a busy machine two may come together.
    expect(seen.length).toBeGreaterThanOrEqual(2)
    expect(seen.at(-1)! - seen[0]!).toBeGreaterThan(400)
    expect(await sky.payload(answer.headers.get('x-skypilot-request-id')!)).toMatchObject({
      return_value: '0',
    })
  })

  test('tail gives the last lines, also of a large log', async () => {
    const id = await sky.launch('seq 1 300000; printf "no newline"')
    await sky.until(id, 'SUCCEEDED')
    const lines = (await sky.logs(id, { tail: 3 })).split('\n').filter((line) => line.startsWith('(job'))
    expect(lines.map((line) => line.split(') ')[1])).toEqual(['299999', '300000', 'no newline'])
    expect((await sky.logs(id)).split('\n').filter((line) => line.startsWith('(job'))).toHaveLength(300_001)
  })

  test('of letters that fall between two reads are whole', async () => {
    const id = await sky.launch(`for i in $(seq 1 30000); do echo 'a€😀'; done`)
    const lines = new Set((await sky.logs(id)).split('\n').map((line) => line.split(') ')[1]))
    expect(lines).toContain('a€😀')
    expect([...lines].filter((line) => line?.includes('�'))).toEqual([])
  })

  test('end when the reader goes away, and tell of jobs that never began', async () => {
    const id = await sky.launch('echo here; sleep 60')
    const gone = new AbortController()
    const answer = await sky.post('/jobs/logs', { job_id: id }, { signal: gone.signal })
    await answer.body!.getReader().read()
    gone.abort()
    const requestId = answer.headers.get('x-skypilot-request-id')!
    expect(await sky.payload(requestId)).toMatchObject({ return_value: '101' })
    await sky.call('/jobs/cancel', { job_ids: [id] })
    await sky.until(id, 'CANCELLED')
    expect(await sky.logs(999)).toContain('not found')
    expect(await sky.logs(id, { controller: true })).toMatch(/STARTING[^]*CANCELLING[^]*CANCELLED/)
  })

  test('events are the time line of a job, newest first', async () => {
    const id = await sky.launch('exit 1')
    await sky.until(id, 'FAILED')
    const events = await sky.call<Array<{ new_status: string }>>('/jobs/events', { job_id: id })
    expect(events.map(({ new_status: status }) => status)).toEqual([
      'FAILED',
      'RUNNING',
      'STARTING',
      'PENDING',
    ])
  })
})

describe('faults', () => {
  test('drop-before: nothing was done', async () => {
    await faults({ match: '/jobs/launch', kind: 'drop-before', times: 1 })
    await expect(sky.post('/jobs/launch', launchBody('before'))).rejects.toThrow('fetch failed')
    await sky.call('/jobs/launch', launchBody('before'))
    expect(await submitted('before')).toBe(1)
  })

  test('drop-after: it was done all the same', async () => {
    await faults({ match: '/jobs/launch', kind: 'drop-after', times: 1 })
    await expect(sky.post('/jobs/launch', launchBody('after'))).rejects.toThrow('fetch failed')
    await expect.poll(() => submitted('after')).toBe(1)
  })

  test('status, delay, truncate and login-page', async () => {
    await faults({ match: '/api', kind: 'status', status: 503, times: 1 })
    expect((await sky.get('/api/health')).status).toBe(503)
    await faults({ match: '/api/health', kind: 'delay', delayMs: 200, times: 1 })
    const askedAtMs = performance.now()
    await sky.get('/api/health')
    expect(performance.now() - askedAtMs).toBeGreaterThan(190)
    await faults({ match: '/api/health', kind: 'truncate', times: 1 })
    await expect((await sky.get('/api/health')).json()).rejects.toThrow(SyntaxError)
    await faults({ match: '/', kind: 'login-page', times: 1 })
    expect(await (await sky.get('/api/health')).text()).toContain('<html>')
    expect((await sky.get('/api/health')).status).toBe(200)
    expect(await (await sky.get('/local/faults')).json()).toEqual([])
  })

  test('stale: the queue shows how it was', async () => {
    const { total } = await sky.queue()
    await faults({ match: '/jobs/queue', kind: 'stale', times: 1 })
    await sky.launch('true')
    expect((await sky.queue()).total).toBe(total)
    expect((await sky.queue()).total).toBe(total + 1)
  })

  test('that do not exist are refused', async () => {
    expect((await sky.post('/local/faults', [{ kind: 'nonsense' }])).status).toBe(422)
  })
})
