import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parse } from '../../skypilot/answers.ts'
import { createSkyPilot, type SkyPilot } from '../../skypilot/client.ts'
import { RESULTS } from '../../skypilot/results.ts'
import {
  type RecordedServer,
  recordingOf,
  REQUEST_ID,
  startRecordedServer,
} from '../support/recorded-server.ts'

let server: RecordedServer
let sky: SkyPilot
let sent: RecordedServer['sent']
let recorded: RecordedServer['recorded']

beforeEach(async () => {
  server = await startRecordedServer()
  ;({ sky, sent, recorded } = server)
})
afterEach(() => server.close())

describe('a request goes on in another process', () => {
  test('from the id alone, with the result that its kind has', async () => {
    const kept = JSON.stringify(await sky.clusters.launch({ name: 'c1', task: 'run: true' }))
    const other = createSkyPilot({ endpoint: server.url })
    recorded('launch.ok.3-get')
    const launch = other.requests.attach(JSON.parse(kept) as string, 'launch')
    const { jobId }: { jobId: number | null } = await launch.result()
    expect(jobId).toBe(1)
  })

  test('its log is streamed, and then its result read', async () => {
    const { body } = recordingOf('launch.ok.2-stream-plain')
    server.on('/api/stream', (response) =>
      response.writeHead(200, { 'content-type': 'text/plain' }).end(body),
    )
    recorded('launch.ok.3-get')
    const lines: string[] = []
    const launch = sky.requests.attach(REQUEST_ID, 'launch')
    expect(await launch.streamAndGet((line) => void lines.push(line))).toEqual({ jobId: 1 })
    expect(lines.some((line) => line.includes('Launching'))).toBe(true)
    await launch.stream({ follow: false, tail: 10 })
    expect(sent.at(-1)?.path).toBe(`/api/stream?request_id=${REQUEST_ID}&format=plain&follow=false&tail=10`)
  })

  test('what is no id is not attached to', () => {
    expect(() => sky.requests.attach('../status', 'launch')).toThrow('not a request id')
  })

  test('a question can be picked up too: its id is told as soon as the server has it', async () => {
    recorded('queue.ok.2-get')
    recorded('queue.ok.2-get')
    const ids: string[] = []
    const asked = await sky.clusters.queue({ name: 'c2', onRequest: (id) => void ids.push(id) })
    expect(ids).toEqual([REQUEST_ID])
    expect(await sky.requests.attach(REQUEST_ID, 'queue').result()).toEqual(asked)
  })
})

test.each(Object.entries(RESULTS))(
  'no answer to %s makes anything but a value or an error of ours',
  (_, schema) => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string()), (text) => {
        try {
          parse<unknown>(schema, text)
        } catch (error) {
          expect(error).toMatchObject({ name: 'SkyPilotError', kind: 'protocol' })
        }
      }),
      { numRuns: 300 },
    )
  },
)

describe('the table of requests', () => {
  test('a cancel names what was still active', async () => {
    recorded('api_cancel.launch.2-get')
    expect(await sky.requests.cancel([REQUEST_ID])).toEqual(['2e52c926-433e-4efb-b12e-12bab5f1e8cb'])
    expect(sent[0]).toMatchObject({ path: '/api/cancel', body: { request_ids: [REQUEST_ID] } })
  })

  test('to cancel everything is to say so, and means our own unless everybody is said', async () => {
    recorded('api_cancel.launch.2-get')
    recorded('api_cancel.launch.2-get')
    await sky.requests.cancelAll()
    await sky.requests.cancelAll({ allUsers: true })
    expect(sent.filter(({ path }) => path === '/api/cancel').map(({ body }) => body)).toEqual([
      { request_ids: null, user_id: 'a1b2c3d4' },
      { request_ids: null, user_id: null },
    ])
  })

  test('requests are listed with who asked for them and when', async () => {
    const { body } = recordingOf('api_status.by-cluster')
    server.on('/api/status', (response) => response.end(JSON.stringify(body)))
    const listed = await sky.requests.list({ clusterName: 'c2', limit: 3, fields: ['name'], allStatus: true })
    expect(listed[0]?.name).toMatch(/^sky\./)
    expect(listed[0]?.createdAtMs).toBeGreaterThan(1_700_000_000_000)
    expect(sent[0]?.path).toBe('/api/status?all_status=true&cluster_name=c2&limit=3&fields=name')
  })

  test('requests are listed by the beginning of their ids', async () => {
    server.on('/api/status', (response) => response.end('[]'))
    expect(await sky.requests.list({ requestIds: ['0f0f', 'abcd'] })).toEqual([])
    expect(sent[0]?.path).toBe('/api/status?all_status=false&request_ids=0f0f&request_ids=abcd')
  })
})

describe('the server about itself', () => {
  test('it says who it is, and who it takes us for', async () => {
    const { body } = recordingOf('health')
    server.on('/api/health', (response) => response.end(JSON.stringify(body)))
    expect(await sky.apiInfo()).toEqual({
      status: 'healthy',
      apiVersion: 62,
      version: '0.14.1',
      versionOnDisk: '0.14.1',
      commit: '7e595970a806dcc9eefadf459f399edf1733e962',
      isBasicAuthEnabled: false,
      areServiceAccountsEnabled: false,
      user: null,
    })
  })

  test('one that is too old is not well, but still says who it is', async () => {
    server.on('/api/health', (response) =>
      response.end(JSON.stringify({ status: 'healthy', api_version: '40', version: '0.11.0' })),
    )
    await expect(sky.health()).rejects.toMatchObject({ kind: 'protocol' })
    expect(await sky.apiInfo()).toMatchObject({ apiVersion: 40, version: '0.11.0' })
  })
})

describe("SkyPilot's own command starts a server", () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'skypilot-start-'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  const command = (script: string): string => {
    const path = join(folder, 'sky')
    writeFileSync(path, `#!/bin/sh\n${script}\n`)
    chmodSync(path, 0o755)
    return path
  }

  test('with what was chosen', async () => {
    const told = join(folder, 'told')
    await sky.apiStart({ command: command(`echo "$@" > ${told}`), deploy: true, host: '::', port: 46_581 })
    expect(readFileSync(told, 'utf8')).toBe('api start --deploy --host :: --port 46581\n')
  })

  test('and where there is none, that is what the error says', async () => {
    await expect(sky.apiStart({ command: join(folder, 'nothing') })).rejects.toMatchObject({
      kind: 'unreachable',
      message: expect.stringContaining('is SkyPilot installed?') as unknown,
    })
  })

  test('and where it fails, the error says why', async () => {
    const failing = sky.apiStart({ command: command('echo "port is taken" >&2; exit 3') })
    await expect(failing).rejects.toMatchObject({
      kind: 'unreachable',
      message: expect.stringContaining('port is taken') as unknown,
    })
  })

  test('but not for ever', async () => {
    const slow = sky.apiStart({ command: command('exec sleep 600'), timeoutMs: 100 })
    await expect(slow).rejects.toMatchObject({ kind: 'timeout' })
  })
})
