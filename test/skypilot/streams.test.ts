import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createSkyPilot, type SkyPilot } from '../../skypilot/client.ts'
import { SkyPilotError } from '../../skypilot/errors.ts'

const ID = '0f0f0f0f-1111-4222-8333-444444444444'
const MIB = 1024 * 1024

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void
/** Memory that is really held: bytes outside the heap count too. */
function heldBytes(): number {
  collectGarbage()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** Watches how far memory grows after the first look, when connections and code are warm. */
function createWatch() {
  const looks: number[] = []
  return {
    look: () => void looks.push(heldBytes()),
    grownBytes: () => Math.max(...looks) - (looks[0] ?? 0),
    looks,
  }
}

type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void
let server: Server
let handler: Handler
let paths: string[]
let sky: SkyPilot

beforeEach(async () => {
  paths = []
  server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      paths.push(request.url ?? '')
      response.setHeader('x-skypilot-request-id', ID)
      handler(request, response, body)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (typeof address !== 'object' || !address) throw new Error('no port')
  sky = createSkyPilot({ endpoint: `http://127.0.0.1:${address.port}`, timeoutMs: 30_000 })
})
afterEach(async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

const HEARTBEAT = '<sky-payload>"<heartbeat></heartbeat>"</sky-payload>\n'
const RETRY = '<sky-payload>"<retry>The server is restarting.</retry>"</sky-payload>\n'

const log =
  (...parts: string[]): Handler =>
  (_, response) => {
    response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' })
    for (const part of parts) response.write(part)
    response.end()
  }

async function all(lines: AsyncIterable<string>): Promise<string[]> {
  const read: string[] = []
  for await (const line of lines) read.push(line)
  return read
}

describe('memory', () => {
  test('a log of 100 MB is read with a few MB', { timeout: 120_000 }, async () => {
    const line = `(train, pid=1) ${'x'.repeat(84)}\n`
    const chunk = Buffer.from(line.repeat(Math.floor(MIB / line.length)))
    handler = (_, response) => {
      response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' })
      let sent = 0
      const more = (): void => {
        while (sent < 100) {
          sent += 1
          if (!response.write(chunk)) return void response.once('drain', more)
        }
        response.end()
      }
      more()
    }
    const tail = await sky.jobs.tailLogs({ jobId: 1 })
    const watch = createWatch()
    let count = 0
    let characters = 0
    for await (const each of tail) {
      count += 1
      characters += each.length
      if (count % 50_000 === 0) watch.look()
    }
    expect(count).toBe(100 * Math.floor(MIB / line.length))
    expect(characters).toBe(count * (line.length - 1))
    expect(watch.looks.length).toBeGreaterThan(15)
    expect(watch.grownBytes()).toBeLessThan(10 * MIB)
  })

  test('a queue of 50,000 rows is read page by page, with a few MB', { timeout: 120_000 }, async () => {
    handler = queueOf(50_000)
    const watch = createWatch()
    let count = 0
    for await (const job of sky.jobs.queueAll({ pageSize: 500 })) {
      count += 1
      if (job.jobId !== 50_001 - count) throw new Error(`job ${job.jobId} comes as number ${count}`)
      if (count % 2_500 === 0) watch.look()
    }
    expect(count).toBe(50_000)
    expect(paths.filter((path) => path === '/jobs/queue/v2')).toHaveLength(100)
    expect(watch.looks.length).toBeGreaterThan(15)
    expect(watch.grownBytes()).toBeLessThan(10 * MIB)
  })
})

const rowOf = (jobId: number) => ({
  job_id: jobId,
  task_id: 0,
  job_name: `job-${jobId}`,
  status: 'RUNNING',
  schedule_state: 'ALIVE',
  details: 'd'.repeat(500),
})

/** A queue, newest first; `reread` tells it at which page how many jobs have come in front meanwhile. */
function queueOf(total: number, newSince: (page: number) => number = () => 0): Handler {
  let asked = { page: 1, limit: total }
  return (request, response, body) => {
    response.setHeader('content-type', 'application/json')
    if (request.method === 'POST') {
      asked = JSON.parse(body) as { page: number; limit: number }
      response.end('null')
      return
    }
    const newest = total + newSince(asked.page)
    const first = newest - (asked.page - 1) * asked.limit
    const jobs = Array.from({ length: Math.max(0, Math.min(asked.limit, first)) }, (_, index) =>
      rowOf(first - index),
    )
    const page = { jobs, total: newest, total_no_filter: newest, status_counts: {} }
    const payload = { request_id: ID, name: 'sky.jobs.queue_v2', status: 'SUCCEEDED', error: 'null' }
    response.end(JSON.stringify({ ...payload, return_value: JSON.stringify(page) }))
  }
}

describe('pages of the queue', () => {
  const idsOf = async (pageSize: number): Promise<number[]> => {
    const ids: number[] = []
    for await (const { jobId } of sky.jobs.queueAll({ pageSize })) ids.push(jobId)
    return ids
  }

  test.each([
    [10, 3, 4],
    [9, 3, 3],
    [0, 3, 1],
    [2, 3, 1],
  ])('%i jobs in pages of %i take %i questions', async (total, pageSize, questions) => {
    handler = queueOf(total)
    expect(await idsOf(pageSize)).toEqual(Array.from({ length: total }, (_, index) => total - index))
    expect(paths.filter((path) => path === '/jobs/queue/v2')).toHaveLength(questions)
  })

  test('jobs that move to the next page because a new one came are given once', async () => {
    handler = queueOf(6, (page) => page - 1)
    expect(await idsOf(3)).toEqual([6, 5, 4, 3, 2, 1])
  })

  test('a server that knows no pages is asked twice, and gives each job once', async () => {
    const whole = queueOf(7)
    handler = (request, response, body) =>
      whole(request, response, body && JSON.stringify({ ...(JSON.parse(body) as object), page: 1, limit: 7 }))
    expect(await idsOf(3)).toEqual([7, 6, 5, 4, 3, 2, 1])
    expect(paths.filter((path) => path === '/jobs/queue/v2')).toHaveLength(2)
  })

  test('a page with rows that cannot be read is no complete one', async () => {
    const whole = queueOf(2)
    handler = (request, response, body) => {
      const end = response.end.bind(response)
      response.end = ((text: string) =>
        end(text.replace(String.raw`\"job_id\":2`, String.raw`\"job_id\":\"two\"`))) as typeof end
      whole(request, response, body)
    }
    const read: number[] = []
    const reading = (async () => {
      for await (const { jobId } of sky.jobs.queueAll()) read.push(jobId)
    })()
    await expect(reading).rejects.toMatchObject({ kind: 'protocol' })
    expect(read).toEqual([1])
  })
})

describe('control lines', () => {
  test('heartbeats are no lines', async () => {
    handler = log('one\n', HEARTBEAT, 'two\n', HEARTBEAT)
    expect(await all(await sky.jobs.tailLogs({ jobId: 1 }))).toEqual(['one', 'two'])
  })

  test('a log that a restart of the server cuts off goes on where it was', async () => {
    const answers = [
      log('one\n', 'two\n', RETRY),
      log('one\n', RETRY),
      log('one\ntwo\n', HEARTBEAT, 'three\nfour'),
    ]
    handler = (...call) => answers.shift()?.(...call)
    expect(await all(await sky.jobs.tailLogs({ jobId: 1 }))).toEqual(['one', 'two', 'three', 'four'])
    expect(paths).toEqual(['/jobs/logs', '/jobs/logs', '/jobs/logs'])
  })

  test('one that did not begin at its beginning cannot, and says so', async () => {
    handler = log('nine\n', RETRY)
    await expect(all(await sky.clusters.tailLogs({ name: 'c', tail: 1 }))).rejects.toMatchObject({
      kind: 'unreachable',
    })
  })

  test('a server that never stops restarting is not followed for ever', async () => {
    handler = log(RETRY)
    await expect(all(await sky.jobs.tailLogs({ jobId: 1 }))).rejects.toMatchObject({ kind: 'unreachable' })
    expect(paths.length).toBeLessThan(50)
  })

  test('what a job prints is no control line, unless it is alone on its line', async () => {
    handler = log(`(a, pid=1) ${RETRY}`, 'after\n')
    expect(await all(await sky.jobs.tailLogs({ jobId: 1 }))).toEqual([`(a, pid=1) ${RETRY.trim()}`, 'after'])
  })
})

describe('logs that end before their end', () => {
  test('a connection that breaks is an error of ours', async () => {
    handler = (_, response) => {
      response.writeHead(200, { 'content-type': 'text/plain' })
      response.write('one\n', () => response.destroy())
    }
    const reading = all(await sky.jobs.tailLogs({ jobId: 1 }))
    await expect(reading).rejects.toBeInstanceOf(SkyPilotError)
    await expect(reading).rejects.toMatchObject({ kind: 'unreachable' })
  })

  test('a caller that stops reading closes the connection', async () => {
    const closed = new Promise<void>((resolve) => {
      handler = (_, response) => {
        response.writeHead(200, { 'content-type': 'text/plain' })
        response.write('one\n')
        response.on('close', resolve)
      }
    })
    for await (const line of await sky.jobs.tailLogs({ jobId: 1 })) {
      expect(line).toBe('one')
      break
    }
    await closed
  })

  test('a caller that aborts gets its own reason back', async () => {
    handler = (_, response) => {
      response.writeHead(200, { 'content-type': 'text/plain' })
      response.write('one\n')
    }
    const controller = new AbortController()
    const reason = new Error('enough')
    const tail = await sky.jobs.tailLogs({ jobId: 1, signal: controller.signal })
    const reading = (async () => {
      for await (const line of tail) controller.abort(line === 'one' ? reason : new Error(line))
    })()
    await expect(reading).rejects.toBe(reason)
  })

  test.each([
    [404, 'not-found'],
    [500, 'unreachable'],
  ])('HTTP %i for the log of a request is %s', async (status, kind) => {
    handler = (_request, response) => response.writeHead(status).end()
    await expect(sky.requests.attach(ID, 'launch').stream()).rejects.toMatchObject({ kind })
  })
})
