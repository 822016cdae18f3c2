import { afterEach, beforeEach, expect, test } from 'vitest'
import type { SkyPilot } from '../../skypilot/client.ts'
import { type RecordedServer, linesOf, startRecordedServer } from '../support/recorded-server.ts'

let server: RecordedServer
let sky: SkyPilot
let sent: RecordedServer['sent']

beforeEach(async () => {
  server = await startRecordedServer()
  ;({ sky, sent } = server)
})
afterEach(() => server.close())

/** As `serve_utils._get_service_status` of SkyPilot 0.14.1 makes it. */
const service = {
  name: 'llm',
  status: 'READY',
  controller_job_id: 1,
  uptime: 1_795_364_757,
  active_versions: [1],
  endpoint: '127.0.0.1:30001',
  policy: 'Fixed 1 replica',
  requested_resources_str: '1x[CPU:1]',
  load_balancing_policy: 'least_load',
  target_num_replicas: 1,
  replica_info: [
    {
      replica_id: 1,
      name: 'llm-1',
      status: 'READY',
      version: 1,
      endpoint: 'http://127.0.0.1:8080',
      is_spot: false,
      launched_at: 1_795_364_700,
      handle: 'gAROLg==',
    },
  ],
}

test('a service that comes up says where it is', async () => {
  server.returns(['llm', '127.0.0.1:30001'])
  const up = await sky.serve.up({ name: 'llm', task: 'service: {}' })
  expect(await up.result()).toEqual({ name: 'llm', endpoint: '127.0.0.1:30001' })
  expect(sent[0]).toMatchObject({
    path: '/serve/up',
    body: { task: 'service: {}', service_name: 'llm', file_mounts_blob_id: null },
  })
})

test('services and their replicas have states, addresses and times', async () => {
  server.returns([service])
  expect(await sky.serve.status({ names: ['llm'] })).toEqual([
    {
      name: 'llm',
      status: 'READY',
      activeVersions: [1],
      readySinceMs: 1_795_364_757_000,
      endpoint: '127.0.0.1:30001',
      autoscalingPolicy: 'Fixed 1 replica',
      requestedResources: '1x[CPU:1]',
      loadBalancingPolicy: 'least_load',
      targetReplicas: 1,
      replicas: [
        {
          replicaId: 1,
          name: 'llm-1',
          status: 'READY',
          version: 1,
          launchedAtMs: 1_795_364_700_000,
          endpoint: 'http://127.0.0.1:8080',
          isSpot: false,
        },
      ],
    },
  ])
  expect(sent[0]).toMatchObject({ path: '/serve/status', body: { service_names: ['llm'] } })
})

test('a service that cannot be read is an error, not one service fewer', async () => {
  server.returns([service, { name: 'x' }])
  await expect(sky.serve.status()).rejects.toMatchObject({ kind: 'protocol' })
  expect(sent[0]?.body).toEqual({ service_names: null })
})

test('changes go to the server in its own words', async () => {
  await sky.serve.update({ name: 'llm', task: 't', mode: 'blue_green' })
  await sky.serve.down({ names: ['llm'], purge: true })
  await sky.serve.down({ all: true })
  await sky.serve.terminateReplica({ name: 'llm', replicaId: 3 })
  expect(sent.map(({ path, body }) => ({ path, ...body }))).toEqual([
    { path: '/serve/update', task: 't', service_name: 'llm', mode: 'blue_green', file_mounts_blob_id: null },
    { path: '/serve/down', service_names: ['llm'], all: false, purge: true },
    { path: '/serve/down', service_names: null, all: true, purge: false },
    { path: '/serve/terminate-replica', service_name: 'llm', replica_id: 3, purge: false },
  ])
})

test('an empty list of services is refused before anything is sent', async () => {
  await expect(sky.serve.down({ names: [] })).rejects.toThrow(RangeError)
  expect(sent).toEqual([])
})

test('logs are those of a replica, or of what stands in front of it', async () => {
  server.on('/serve/logs', (response) =>
    response.writeHead(200, { 'content-type': 'text/plain' }).end('hi\n'),
  )
  const log = await sky.serve.tailLogs({ name: 'llm', target: 'replica', replicaId: 1, tail: 9 })
  expect(await linesOf(log)).toEqual(['hi'])
  await sky.serve.tailLogs({ name: 'llm', target: 'load_balancer', follow: false })
  expect(sent.map(({ body }) => body)).toEqual([
    { service_name: 'llm', target: 'replica', replica_id: 1, follow: true, tail: 9 },
    { service_name: 'llm', target: 'load_balancer', replica_id: null, follow: false, tail: null },
  ])
})
