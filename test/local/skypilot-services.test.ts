import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { unzip, zip } from '../../local/skypilot/zip.ts'
import { TestSkyPilot } from './skypilot-client.ts'

interface Service {
  name: string
  status: string
  version: number
  replica_info: Array<{ replica_id: number; status: string; version: number }>
}

let sky: TestSkyPilot
const scratch = mkdtempSync(join(tmpdir(), 'local-skypilot-zip-'))

beforeAll(async () => {
  sky = await new TestSkyPilot().start()
})
afterAll(async () => {
  await sky.dispose()
  rmSync(scratch, { recursive: true, force: true })
})

const serviceTask = (run: string, replicas: number) =>
  JSON.stringify({ run, service: { readiness_probe: '/', replicas } })
const service = async (name: string): Promise<Service | undefined> =>
  (await sky.call<Service[]>('/serve/status', { service_names: [name] }))[0]
const untilService = (name: string, is: (service: Service | undefined) => boolean) =>
  expect.poll(async () => is(await service(name)), { timeout: 15_000 }).toBe(true)
const readyIds = (given: Service | undefined) =>
  (given?.replica_info ?? []).filter(({ status }) => status === 'READY').map(({ replica_id: id }) => id)

describe('a service', () => {
  test('keeps its replicas running, and is taken down', async () => {
    const up = {
      service_name: 'svc',
      task: serviceTask('echo "replica $SKYPILOT_SERVE_REPLICA_ID"; sleep 60', 2),
    }
    expect(await sky.call('/serve/up', up)).toEqual(['svc', null])
    await untilService('svc', (given) => readyIds(given).length === 2)
    expect(await service('svc')).toMatchObject({ status: 'READY', version: 1 })
    await expect(sky.call('/serve/up', up)).rejects.toThrow('already taken')
    const logs = { service_name: 'svc', target: 'replica', follow: false }
    await expect
      .poll(async () => (await sky.post('/serve/logs', { ...logs, replica_id: 2 })).text())
      .toContain('replica 2')
    expect(await (await sky.post('/serve/logs', { ...logs, replica_id: 9 })).text()).toContain('not found')
    await sky.call('/serve/terminate-replica', { service_name: 'svc', replica_id: 1 })
    await untilService('svc', (given) => readyIds(given).join() === '2,3')
    await sky.call('/serve/update', { ...up, task: serviceTask('sleep 61', 1), mode: 'rolling' })
    await untilService('svc', (given) => given?.version === 2 && given.replica_info.length === 1)
    await sky.stop()
    await sky.start()
    expect((await service('svc'))?.status).toBe('READY')
    await sky.call('/serve/down', { service_names: ['svc'] })
    expect(await sky.call('/serve/status', { service_names: null })).toEqual([])
    expect(sky.processes()).toEqual([])
    expect(await sky.count('replica-process')).toBe(4)
  })

  test('whose replicas only fail is given up', async () => {
    await sky.call('/serve/up', { service_name: 'bad', task: serviceTask('exit 1', 1) })
    await untilService('bad', (given) => given?.status === 'FAILED')
    expect((await service('bad'))?.replica_info).toHaveLength(3)
    await expect(sky.call('/serve/down', { service_names: null })).rejects.toThrow('ValueError')
    await sky.call('/serve/down', { service_names: null, all: true })
    expect(await service('bad')).toBeUndefined()
    await expect(sky.call('/serve/up', { service_name: 'x', task: '{}' })).rejects.toThrow('Service section')
    await expect(sky.call('/serve/down', { service_names: 'nope' })).rejects.toThrow('does not exist')
  })
})

describe('infrastructure', () => {
  test('is told as one cloud that is this machine', async () => {
    expect(await sky.call('/check')).toEqual({ default: { Local: ['compute'] } })
    const { headers } = await sky.get('/enabled_clouds')
    expect((await sky.payload(headers.get('x-skypilot-request-id')!)).return_value).toBe('["local"]')
    const counts = await sky.call('/list_accelerator_counts', { name_filter: 'h100', case_sensitive: false })
    expect(counts).toEqual({ H100: [1, 2, 4, 8] })
    const all = await sky.call<Record<string, unknown[][]>>('/list_accelerators', { quantity_filter: 8 })
    expect(all['H100']).toEqual([['local', null, 'H100', 8, 256, 0, 1024, 0, 0, 'this-machine']])
  })

  test('tasks are validated and looked for a place', async () => {
    const ask = (path: string, dag: string) => sky.post(path, { dag, request_options: null })
    expect(await (await ask('/validate', 'run: ls')).json()).toBeNull()
    const bad = await ask('/validate', 'resources: {cpus: banana}')
    expect(bad.status).toBe(400)
    expect(await bad.json()).toMatchObject({
      detail: {
        type: 'ValueError',
        message: `The "cpus" field should be either a number or a string "<number>+". Found: 'banana'`,
      },
    })
    expect(await sky.call('/optimize', { dag: 'run: ls', request_options: null })).toBeNull()
    await expect(
      sky.call('/optimize', { dag: 'resources: {cpus: 999}', request_options: null }),
    ).rejects.toThrow('ResourcesUnavailableError')
  })
})

describe('an upload', () => {
  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(scratch, path)), { recursive: true })
    writeFileSync(join(scratch, path), text)
  }
  const upload = (query: string, body: Uint8Array<ArrayBuffer>) =>
    fetch(`${sky.url}/upload_v2?user_hash=a1b2c3d4&${query}`, { method: 'POST', body })

  test('in chunks of any order becomes the working directory of jobs', async () => {
    write('exp/main.sh', 'echo "main says $(cat data/x)"\n')
    write('exp/data/x', '42\n')
    const packed = new Uint8Array(
      await zip([join(scratch, 'exp')], (path) => path.replace(scratch, '/skydeck')),
    )
    const blob = createHash('sha256').update(packed).digest('hex')
    const known = async () =>
      (await sky.get(`/upload_v2/blob?user_hash=a1b2c3d4&blob_id=${blob}&size_bytes=1`)).json()
    expect(await known()).toEqual({ exists: false })
    const chunk = (at: number, bytes: Uint8Array<ArrayBuffer>) =>
      upload(`upload_id=${blob}&chunk_index=${at}&total_chunks=2`, bytes)
    expect(await (await chunk(1, packed.slice(100))).json()).toEqual({
      status: 'uploading',
      missing_chunks: ['0'],
    })
    expect(await (await chunk(0, packed.slice(0, 100))).json()).toEqual({
      status: 'completed',
      missing_chunks: null,
    })
    expect(await known()).toEqual({ exists: true })
    const body = {
      env_vars: { SKYPILOT_USER_ID: 'a1b2c3d4', SKYPILOT_USER: 'deck' },
      file_mounts_blob_id: blob,
      task: JSON.stringify({
        run: 'sh main.sh',
        workdir: '/skydeck/exp',
        file_mounts_mapping: { '/skydeck/exp': '/skydeck/exp' },
      }),
    }
    await sky.call('/launch', { ...body, cluster_name: 'c1' })
    expect(await (await sky.post('/logs', { cluster_name: 'c1', job_id: 1 })).text()).toContain(
      'main says 42',
    )
    const { job_id: managed } = await sky.call<{ job_id: number[] }>('/jobs/launch', { ...body, name: 'up' })
    expect(await sky.logs(managed[0]!)).toContain('main says 42')
  })

  test('that wants to write elsewhere, or is broken, is refused and leaves nothing', async () => {
    write('out/x', 'x')
    const evil = new Uint8Array(await zip([join(scratch, 'out')], () => 'a/../../../evil'))
    expect((await upload('upload_id=e0&chunk_index=0&total_chunks=1', evil)).status).toBe(500)
    expect((await upload('upload_id=e1&chunk_index=0&total_chunks=1', new Uint8Array([1, 2]))).status).toBe(
      500,
    )
    for (const blob of ['e0', 'e1'])
      expect(await (await sky.get(`/upload_v2/blob?user_hash=a1b2c3d4&blob_id=${blob}`)).json()).toEqual({
        exists: false,
      })
    expect((await upload('upload_id=../x&chunk_index=0&total_chunks=1', evil)).status).toBe(422)
  })

  test('archives are unpacked as they were packed', async () => {
    write('round/empty', '')
    write('round/deep/er/text', 'a'.repeat(100_000))
    const archive = join(scratch, 'round.zip')
    writeFileSync(archive, await zip([join(scratch, 'round')], (path) => path))
    await unzip(archive, join(scratch, 'unpacked'))
    const place = join(scratch, 'unpacked', scratch, 'round')
    expect(readFileSync(join(place, 'deep/er/text'), 'utf8')).toBe('a'.repeat(100_000))
    expect(readFileSync(join(place, 'empty'), 'utf8')).toBe('')
  })
})
