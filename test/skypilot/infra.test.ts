import { afterEach, beforeEach, expect, test } from 'vitest'
import type { SkyPilot } from '../../skypilot/client.ts'
import { type RecordedServer, recordingOf, startRecordedServer } from '../support/recorded-server.ts'

let server: RecordedServer
let sky: SkyPilot
let sent: RecordedServer['sent']
let recorded: RecordedServer['recorded']

beforeEach(async () => {
  server = await startRecordedServer()
  ;({ sky, sent, recorded } = server)
})
afterEach(() => server.close())

const validated = (name: string): void => {
  const { status, body } = recordingOf(name)
  server.on('/validate', (response) => response.writeHead(status).end(JSON.stringify(body)))
}

test('a check says what each cloud is good for', async () => {
  recorded('check.2-get')
  expect(await sky.check({ clouds: ['slurm'], verbose: true })).toEqual({ default: { Slurm: ['compute'] } })
  expect(sent[0]).toMatchObject({
    path: '/check',
    body: { clouds: ['slurm'], verbose: true, workspace: null },
  })
})

test('the usable clouds are asked for without a body', async () => {
  recorded('enabled_clouds.2-get')
  recorded('enabled_clouds.2-get')
  expect(await sky.enabledClouds()).toEqual(['slurm'])
  await sky.enabledClouds({ workspace: 'a b', expand: true })
  expect(sent.filter(({ path }) => path.startsWith('/enabled'))).toMatchObject([
    { method: 'GET', path: '/enabled_clouds', body: null },
    { method: 'GET', path: '/enabled_clouds?workspace=a+b&expand=true', body: null },
  ])
})

test('offers of an accelerator have names in place of positions', async () => {
  recorded('list_accelerators.2-get')
  const offers = (await sky.listAccelerators({ clouds: ['slurm'], requirePrice: false })).get('H100')
  expect(offers?.map(({ count }) => count)).toEqual([1, 2, 4, 8])
  expect(offers?.[0]).toEqual({
    cloud: 'slurm',
    instanceType: null,
    accelerator: 'H100',
    count: 1,
    cpus: 64,
    deviceMemoryGiB: 0,
    memoryGiB: 128,
    price: 0,
    spotPrice: 0,
    region: 'main*',
  })
  expect(sent[0]?.body).toEqual({
    gpus_only: true,
    name_filter: null,
    region_filter: null,
    quantity_filter: null,
    clouds: ['slurm'],
    all_regions: false,
    require_price: false,
    case_sensitive: true,
  })
})

test('counts of accelerators may be fractions', async () => {
  server.returns({ L4: [0.125, 1] })
  expect(await sky.listAcceleratorCounts({ name: 'L4' })).toEqual(new Map([['L4', [0.125, 1]]]))
})

test('a plan is made for cost, or for time', async () => {
  recorded('optimize.2-get')
  const plan = await sky.optimize({ task: 'run: true', minimize: 'time' })
  expect(await plan.result()).toBeUndefined()
  expect(sent[0]?.body).toEqual({ dag: 'run: true', request_options: null, minimize: 1 })
})

test('a task that is well is so without a word', async () => {
  validated('validate.ok')
  expect(await sky.validate({ task: 'run: true' })).toBeUndefined()
})

test("a task that is not says what is wrong with it, without the server's traceback", async () => {
  validated('validate.bad')
  const error = await sky.validate({ task: 'resources: {cpus: banana}' }).catch((each: unknown) => each)
  expect(error).toMatchObject({ kind: 'rejected', exceptionName: 'ValueError' })
  expect(String(error)).toContain("Found: 'banana'")
  expect(String(error)).not.toContain('Traceback')
})
