import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createSkyPilot, type SkyPilot } from '../../skypilot/client.ts'
import { isRead } from '../../skypilot/retries.ts'
import { createTransport, type TransportOptions } from '../../skypilot/transport.ts'
import { checkFeature, FEATURES, type Feature } from '../../skypilot/versions.ts'
import { recordingOf } from '../support/recorded-server.ts'
import { closed } from '../support/recordings.ts'

const ID = '0f0f0f0f-1111-4222-8333-444444444444'

type Handler = (request: IncomingMessage, response: ServerResponse) => void
let server: Server
let url: string
let seen: IncomingMessage[]
let handlers: Handler[]

beforeEach(async () => {
  seen = []
  handlers = []
  server = createServer((request, response) => {
    seen.push(request)
    const handler = handlers.length > 1 ? handlers.shift() : handlers[0]
    handler?.(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (typeof address !== 'object' || !address) throw new Error('no port')
  url = `http://127.0.0.1:${address.port}`
})
afterEach(async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

const answer =
  (status: number, body: unknown, headers: Record<string, string> = {}): Handler =>
  (_, response) => {
    response.writeHead(status, {
      'content-type': 'application/json',
      'x-skypilot-request-id': ID,
      ...headers,
    })
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
  }
const sky = (options: Partial<TransportOptions> = {}): SkyPilot =>
  createSkyPilot({ endpoint: url, timeoutMs: 5_000, ...options })
const ask = (options: Partial<TransportOptions> = {}) =>
  createTransport({ endpoint: url, timeoutMs: 5_000, ...options }).send({
    method: 'GET',
    path: '/api/health',
  })

describe('credentials', () => {
  beforeEach(() => handlers.push(answer(200, {})))
  const sent = () => ({ authorization: seen[0]?.headers.authorization, cookie: seen[0]?.headers.cookie })

  test('a token is sent, and then no cookies', async () => {
    await ask({ token: 'sky_x', cookies: () => 'a=b' })
    expect(sent()).toEqual({ authorization: 'Bearer sky_x', cookie: undefined })
  })

  test('cookies are asked for by the address of the call', async () => {
    const cookies = vi.fn<(address: URL) => string>(() => 'a=b')
    await ask({ cookies })
    expect(sent()).toEqual({ authorization: undefined, cookie: 'a=b' })
    expect(String(cookies.mock.calls[0]?.[0])).toBe(`${url}/api/health`)
  })

  test('a name and a password in the address are sent as such, and shown nowhere', async () => {
    const endpoint = url.replace('//', '//me:p%40ss@')
    await ask({ endpoint, token: 'sky_x' })
    expect(sent().authorization).toBe(`Basic ${Buffer.from('me:p@ss').toString('base64')}`)
    expect(createTransport({ endpoint }).endpoint).toBe(url)
    expect(() => createTransport({ endpoint: 'ftp://me:p%40ss@x' })).toThrow(
      /^(?!.*p%40ss).*not an http address/,
    )
  })
})

describe('versions', () => {
  test('a client that is too old for the server says so, with both versions', async () => {
    const { body } = recordingOf('health.too-old-client')
    handlers.push(answer(400, body, { 'x-skypilot-api-version': '99', 'x-skypilot-version': '0.20.0' }))
    await expect(ask()).rejects.toMatchObject({
      kind: 'protocol',
      message: expect.stringMatching(
        /this client is too old: it is SkyPilot 0\.14\.1 \(API version 62\), the server is SkyPilot 0\.20\.0 \(API version 99\): Your/,
      ) as unknown,
    })
  })

  test('a server that is too old for the client says so, with both versions', async () => {
    handlers.push(answer(200, {}, { 'x-skypilot-api-version': '11', 'x-skypilot-version': '0.9.3' }))
    await expect(ask()).rejects.toMatchObject({
      kind: 'protocol',
      message: expect.stringMatching(
        /SkyPilot 0\.9\.3 \(API version 11\), this client is SkyPilot 0\.14\.1/,
      ) as unknown,
    })
  })

  test('any other refusal keeps its words', async () => {
    handlers.push(answer(400, { detail: 'ambiguous' }))
    expect(await ask()).toMatchObject({ status: 400, text: '{"detail":"ambiguous"}' })
  })

  test('what the last answer said counts, so that nobody has to be asked', async () => {
    handlers.push(
      answer(200, { detail: 1 }, { 'x-skypilot-api-version': '57', 'x-skypilot-version': '0.13' }),
    )
    const transport = createTransport({ endpoint: url })
    await transport.send({ method: 'GET', path: '/api/status' })
    await transport.requires('waitingStatus')
    await expect(transport.requires('infraMatch')).rejects.toMatchObject({
      kind: 'protocol',
      message: expect.stringMatching(
        /^infraMatch needs API version 58; the server is SkyPilot 0\.13/,
      ) as unknown,
    })
    expect(seen).toHaveLength(1)
  })

  test('a server that does not say who it is is trusted with no feature', async () => {
    handlers.push(answer(200, {}))
    await expect(createTransport({ endpoint: url }).requires('uploads')).rejects.toMatchObject({
      kind: 'protocol',
    })
    expect(seen.map((request) => request.url)).toEqual(['/api/health'])
  })

  test.each(Object.entries(FEATURES) as Array<[Feature, number]>)(
    '%s needs %i, and no less',
    (feature, wanted) => {
      const at = (apiVersion: number) => () => checkFeature(feature, { apiVersion, version: 'x' })
      expect(at(wanted)).not.toThrow()
      expect(at(wanted - 1)).toThrow(new RegExp(`${feature} needs API version ${wanted}`))
    },
  )
})

describe('what stands in front of the server', () => {
  test('a login page that does not say it is one is seen through', async () => {
    handlers.push(answer(200, '\n<!DOCTYPE html><title>Log in</title>'))
    await expect(ask()).rejects.toMatchObject({ kind: 'unauthorized' })
    await expect(sky().clusters.status()).rejects.toMatchObject({ kind: 'unauthorized' })
  })

  test.each(['/elsewhere', 'http://127.0.0.2:9/'])('a redirect to %s is not followed', async (location) => {
    handlers.push(answer(307, '', { location }))
    await expect(ask({ token: 'sky_x' })).rejects.toMatchObject({ kind: 'unauthorized' })
    expect(seen).toHaveLength(1)
  })

  test('an answer may be as long as the caller says', async () => {
    handlers.push(answer(200, 'x'.repeat(2_000)))
    await expect(ask({ bodyBytesMax: 1_999 })).rejects.toMatchObject({ kind: 'protocol' })
    expect((await ask({ bodyBytesMax: 2_000 })).text).toHaveLength(2_000)
  })
})

describe('repeating', () => {
  const busy = answer(503, { detail: 'draining' })
  const healthy = answer(200, { status: 'healthy' })

  test('a question is asked again while the server is away, when the caller wants so', async () => {
    handlers.push(busy, (request) => request.socket.destroy(), answer(429, {}), healthy)
    expect(await ask({ retryBudgetMs: 20_000 })).toMatchObject({ status: 200 })
    expect(seen).toHaveLength(4)
  })

  test('and only as long as the caller wants', async () => {
    handlers.push(busy)
    const startedAtMs = performance.now()
    await expect(ask({ retryBudgetMs: 1_000 })).rejects.toMatchObject({ kind: 'unreachable' })
    expect(performance.now() - startedAtMs).toBeLessThan(5_000)
    expect(seen.length).toBeGreaterThan(1)
  })

  test('not at all unless the caller wants', async () => {
    handlers.push(busy)
    await expect(ask()).rejects.toMatchObject({ kind: 'unreachable' })
    expect(seen).toHaveLength(1)
  })

  test('the server says how long to wait', async () => {
    handlers.push(answer(429, {}, { 'retry-after': '1' }), healthy)
    const startedAtMs = performance.now()
    await ask({ retryBudgetMs: 20_000 })
    expect(performance.now() - startedAtMs).toBeGreaterThanOrEqual(990)
  })

  test('one that asks for more patience than there is gets none, and the caller is told', async () => {
    handlers.push(answer(503, {}, { 'retry-after': '3600' }))
    await expect(ask({ retryBudgetMs: 20_000 })).rejects.toMatchObject({
      kind: 'unreachable',
      retryAfterMs: 3_600_000,
    })
    expect(seen).toHaveLength(1)
  })

  test('a caller that gives up while waiting gets its own reason back', async () => {
    handlers.push(answer(503, {}, { 'retry-after': '5' }))
    const reason = new Error('changed my mind')
    const controller = new AbortController()
    const call = createTransport({ endpoint: url, retryBudgetMs: 60_000 }).send({
      method: 'GET',
      path: '/api/health',
      signal: controller.signal,
    })
    const outcome = call.catch((error: unknown) => error)
    await vi.waitFor(() => expect(seen).toHaveLength(1), { timeout: 10_000 })
    setTimeout(() => controller.abort(reason), 50)
    expect(await outcome).toBe(reason)
  })

  const effects: Array<[string, (client: SkyPilot) => Promise<unknown>]> = [
    ['launch', ({ clusters }) => clusters.launch({ name: 'a', task: 'x' })],
    ['exec', ({ clusters }) => clusters.exec({ name: 'a', task: 'x' })],
    ['start', ({ clusters }) => clusters.start({ name: 'a' })],
    ['stop', ({ clusters }) => clusters.stop({ name: 'a' })],
    ['down', ({ clusters }) => clusters.down({ name: 'a' })],
    ['jobs/launch', ({ jobs }) => jobs.launch({ name: 'a', task: 'x' })],
    ['jobs/cancel', ({ jobs }) => jobs.cancel({ jobIds: [1] })],
    ['serve/up', ({ serve }) => serve.up({ name: 'a', task: 'x' })],
  ]
  test.each(effects)('%s is sent once, however patient the caller is', async (path, effect) => {
    handlers.push(busy)
    await expect(effect(sky({ retryBudgetMs: 20_000 }))).rejects.toMatchObject({ kind: 'unreachable' })
    expect(seen.map((request) => request.url)).toEqual([`/${path}`])
    expect(isRead('POST', `/${path}`)).toBe(false)
  })

  test('a question that is a POST is repeated too', async () => {
    handlers.push(busy, answer(200, 'null'), answer(200, closed(recordingOf('status.init.2-get').body)))
    expect((await sky({ retryBudgetMs: 20_000 }).clusters.status()).clusters).toHaveLength(1)
    expect(seen.map((request) => request.url)).toEqual(['/status', '/status', `/api/get?request_id=${ID}`])
  })

  test('where Node gives up waiting for headers, the question is asked again', async () => {
    const timeout = new TypeError('fetch failed', {
      cause: Object.assign(new Error('Headers Timeout Error'), { code: 'UND_ERR_HEADERS_TIMEOUT' }),
    })
    const tries = vi.fn<typeof fetch>()
    tries.mockRejectedValueOnce(timeout).mockResolvedValueOnce(new Response('{}'))
    const { send } = createTransport({ endpoint: url, fetch: tries })
    const long = { method: 'GET', path: `/api/get?request_id=${ID}`, timeoutMs: null } as const
    expect(await send(long)).toMatchObject({ text: '{}' })
    tries.mockRejectedValueOnce(timeout)
    await expect(send({ ...long, method: 'POST', path: '/launch' })).rejects.toMatchObject({
      kind: 'unreachable',
    })
    expect(tries).toHaveBeenCalledTimes(3)
  })
})
