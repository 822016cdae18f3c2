import { readdirSync, readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createSkyPilot, type SkyPilot } from '../../skypilot/client.ts'
import { SkyPilotError } from '../../skypilot/errors.ts'
import { logLines } from '../../skypilot/log-lines.ts'
import { ManagedJobRecord, QueuePage, RequestPayload, rows } from '../../skypilot/schemas.ts'
import { isTerminalManaged } from '../../skypilot/statuses.ts'
import { closed } from '../support/recordings.ts'

const ID = '0f0f0f0f-1111-4222-8333-444444444444'
const RECORDINGS = new URL('../recordings/skypilot/', import.meta.url)

interface Recording {
  request: { method: string; path: string }
  response: { status: number; body: unknown }
}
const recordings = readdirSync(RECORDINGS).map((name) =>
  Object.assign({ name }, JSON.parse(readFileSync(new URL(name, RECORDINGS), 'utf8')) as Recording),
)

type Handler = (request: IncomingMessage, response: ServerResponse) => void
let server: Server
let handler: Handler
let requests: string[]
let sky: SkyPilot

beforeEach(async () => {
  requests = []
  server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`)
    handler(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (typeof address !== 'object' || !address) throw new Error('no port')
  sky = createSkyPilot({ endpoint: `http://127.0.0.1:${address.port}`, timeoutMs: 2_000 })
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

describe('recordings of the real server', () => {
  test('every request payload parses', () => {
    const payloads = recordings
      .filter(({ request, response }) => request.path.startsWith('/api/get') && response.status === 200)
      .map(({ response }) => closed(response.body))
    expect(payloads.length).toBeGreaterThan(40)
    for (const payload of payloads) expect(RequestPayload.safeParse(payload).success).toBe(true)
  })

  test('every managed queue parses, row by row', () => {
    const queues = recordings.filter(({ name }) => /^jobs_queue_v2.*2-get/.test(name))
    expect(queues.length).toBeGreaterThan(5)
    for (const { response } of queues) {
      const payload = RequestPayload.parse(closed(response.body))
      const page = QueuePage.parse(JSON.parse(payload.return_value ?? ''))
      expect(rows(ManagedJobRecord, page.jobs)).toMatchObject({ unreadable: 0 })
    }
  })

  test('a job of a queue has its times in ms and its reasons', async () => {
    const failures = recordings.find(({ name }) => name === 'jobs_queue_v2.failures.2-get.json')
    handler = (request, response) =>
      answer(200, request.method === 'POST' ? 'null' : closed(failures?.response.body))(request, response)
    const { jobs, total, unreadable } = await sky.jobs.queue()
    expect({ total, unreadable }).toEqual({ total: 4, unreadable: 0 })
    expect(jobs.find(({ status }) => status === 'FAILED')).toMatchObject({
      jobId: 5,
      scheduleState: 'DONE',
      failureReason: expect.stringContaining('exited with exit code 7') as unknown,
    })
  })
})

describe('errors name what a caller can do about them', () => {
  const cases: Array<[string, Handler, string]> = [
    ['500 with a payload', answer(500, { detail: failed('ValueError', 'no such region') }), 'rejected'],
    [
      'an interrupted request',
      answer(500, { detail: failed('RequestInterruptedError', 'restart') }),
      'unreachable',
    ],
    ['500 that is a traceback', answer(500, 'Traceback', { 'content-type': 'text/plain' }), 'unreachable'],
    ['503', answer(503, { detail: 'draining' }), 'unreachable'],
    ['401', answer(401, { detail: 'Invalid token' }), 'unauthorized'],
    ['a login page', answer(200, '<html>', { 'content-type': 'text/html' }), 'unauthorized'],
    ['a redirect', answer(302, '', { location: 'http://192.0.2.1/login' }), 'unauthorized'],
    ['404', answer(404, { detail: 'not found' }), 'not-found'],
    ['half an answer', answer(200, '{"request_id": "'), 'protocol'],
    ['a cancelled request', answer(200, { ...failed('', ''), status: 'CANCELLED' }), 'cancelled'],
    ['a broken connection', (request) => request.socket.destroy(), 'unreachable'],
  ]
  test.each(cases)('%s', async (_, misbehave, kind) => {
    handler = misbehave
    await expect(sky.requests.get(ID)).rejects.toMatchObject({ name: 'SkyPilotError', kind })
    expect(requests).toHaveLength(1)
  })

  test('silence is a timeout, and a timeout is not the end of the request', async () => {
    handler = () => {}
    await expect(sky.requests.get(ID, { timeoutMs: 50 })).rejects.toMatchObject({ kind: 'timeout' })
  })

  test("a caller that gives up gets its own reason back, not the server's fault", async () => {
    handler = () => {}
    const reason = new Error('changed my mind')
    await expect(sky.requests.get(ID, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  })

  test('what a 422 repeats of our body stays out of the message', async () => {
    const detail = [
      { type: 'missing', loc: ['body', 'task'], msg: 'Field required', input: { secret: 'hunter2' } },
    ]
    handler = answer(422, { detail })
    const error = await sky.jobs.launch({ name: 'a', task: 'x' }).catch((each: unknown) => each)
    expect(error).toMatchObject({
      kind: 'rejected',
      message: expect.stringContaining('Field required') as unknown,
    })
    expect(String(error)).not.toContain('hunter2')
  })

  test('an answer without end is cut off', async () => {
    handler = (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      const more = () =>
        void response.write(Buffer.alloc(1024 * 1024, 32), () => response.destroyed || more())
      more()
    }
    await expect(sky.requests.get(ID, { timeoutMs: 20_000 })).rejects.toMatchObject({ kind: 'protocol' })
  })
})

describe('effects', () => {
  test.each<[string, Handler]>([
    ['a broken connection', (request) => request.socket.destroy()],
    ['500', answer(500, 'Traceback', { 'content-type': 'text/plain' })],
    ['429', answer(429, {})],
    ['silence', () => {}],
  ])('a launch is posted once, whatever happens: %s', async (_, misbehave) => {
    handler = misbehave
    await expect(sky.jobs.launch({ name: 'a', task: 'x', timeoutMs: 200 })).rejects.toBeInstanceOf(
      SkyPilotError,
    )
    expect(requests).toEqual(['POST /jobs/launch'])
  })

  test('an empty selection is refused here: there it would mean everything', async () => {
    await expect(sky.jobs.cancel({ jobIds: [] })).rejects.toThrow(RangeError)
    await expect(sky.requests.cancel([])).rejects.toThrow(RangeError)
    expect(requests).toEqual([])
  })

  test.each(['../status', 'a?b=c', '', ID.toUpperCase()])(
    '%j is no request id and goes into no URL',
    async (id) => {
      await expect(sky.requests.get(id)).rejects.toMatchObject({ kind: 'protocol' })
      expect(requests).toEqual([])
    },
  )
})

describe('rows that are not as they should be', () => {
  const good = { job_id: 1, task_id: 0, job_name: 'a-1.1.1', status: 'RUNNING', schedule_state: 'ALIVE' }

  test('one bad row costs one row', () => {
    expect(rows(ManagedJobRecord, [good, { job_id: 'x' }, null, good])).toMatchObject({ unreadable: 2 })
  })

  test('no mutation makes a live job a dead one, or throws anything of its own', () => {
    const junk = fc.oneof(fc.anything(), fc.constant(undefined), fc.string(), fc.double(), fc.constant(null))
    const mutation = fc.dictionary(fc.constantFrom(...Object.keys(good), 'start_at', 'details', 'x'), junk)
    fc.assert(
      fc.property(mutation, (change) => {
        const { read } = rows(ManagedJobRecord, [{ ...good, ...change }])
        const [row] = read
        if (row && !('status' in change)) expect(isTerminalManaged(row.status)).toBe(false)
        if (row) expect(row.status).toBe('status' in change ? change['status'] : 'RUNNING')
      }),
      { numRuns: 10_000 },
    )
  })

  test('a status that nobody has heard of is a live one', () => {
    expect(isTerminalManaged('DREAMING')).toBe(false)
  })
})

describe('logs', () => {
  const read = async (...pieces: Uint8Array[]): Promise<string[]> => {
    const lines: string[] = []
    for await (const line of logLines(ReadableStream.from<Uint8Array>(pieces))) lines.push(line)
    return lines
  }
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

  test('control lines and colours are dropped', async () => {
    const text = '<sky-payload>"<rich_init>x</rich_init>"</sky-payload>\n\u001b[36m(a, pid=1)\u001b[0m hi\n'
    expect(await read(bytes(text))).toEqual(['(a, pid=1) hi'])
  })

  test('lines and letters that arrive in pieces are put together', async () => {
    const all = bytes('über\r\nzwei\nkein Ende')
    const pieces = Array.from(all, (byte) => Uint8Array.of(byte))
    expect(await read(...pieces)).toEqual(['über', 'zwei', 'kein Ende'])
  })

  test('a line without end is cut into pieces', async () => {
    const lines = await read(...Array.from({ length: 10 }, () => bytes('x'.repeat(30_000))))
    expect(lines.length).toBeGreaterThan(2)
    expect(lines.join('')).toHaveLength(300_000)
  })
})

function failed(type: string, message: string): Record<string, unknown> {
  return {
    request_id: ID,
    name: 'sky.jobs.launch',
    status: 'FAILED',
    return_value: 'null',
    error: JSON.stringify({ object: '', type, message }),
  }
}
