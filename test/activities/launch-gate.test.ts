import { setTimeout as sleep } from 'node:timers/promises'
import { MockActivityEnvironment } from '@temporalio/testing'
import { expect, test } from 'vitest'
import { createLaunchGate } from '../../activities/launch-gate.ts'
import { createSkyPilot } from '../../skypilot/client.ts'

/** A SkyPilot of which only the list of its requests is asked. */
function withRequests(names: () => readonly string[]) {
  const answer = async (): Promise<Response> =>
    Response.json(
      names().map((name, index) => ({
        request_id: `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`,
        name,
        status: 'RUNNING',
      })),
    )
  return createSkyPilot({ endpoint: 'http://127.0.0.1:1', fetch: answer })
}

test('launches wait while SkyPilot has its hands full, and go one after the other', async () => {
  let active = ['sky.launch', 'sky.jobs.launch', 'sky.status']
  const gate = createLaunchGate(
    withRequests(() => active),
    2,
  )
  const went: string[] = []
  const launch = (name: string) =>
    new MockActivityEnvironment().run(() =>
      gate.pass(async () => {
        active = [...active, 'sky.launch']
        went.push(name)
      }),
    )
  const both = [launch('first'), launch('second')]
  await new Promise((resolve) => setTimeout(resolve, 300))
  expect(went).toEqual([])
  active = ['sky.jobs.launch']
  await both[0]
  expect(went).toEqual(['first'])
  active = []
  await Promise.all(both)
  expect(went).toEqual(['first', 'second'])
})

test('one that is not wanted any more lets the next through', async () => {
  let active = ['sky.launch']
  const gate = createLaunchGate(
    withRequests(() => active),
    1,
  )
  const unwanted = new MockActivityEnvironment()
  const left = unwanted.run(() => gate.pass(async () => 'launched')).catch((error: unknown) => String(error))
  const next = new MockActivityEnvironment().run(() => gate.pass(async () => 'launched'))
  unwanted.cancel()
  expect(await left).toMatch(/cancel/i)
  active = []
  expect(await next).toBe('launched')
})

test('one that waits in the line behind another leaves it the moment that it is not wanted', async () => {
  const gate = createLaunchGate(
    withRequests(() => ['sky.launch']),
    1,
  )
  const head = new MockActivityEnvironment()
  const first = head.run(() => gate.pass(async () => 'launched')).catch((error: unknown) => String(error))
  const behind = new MockActivityEnvironment()
  const second = behind.run(() => gate.pass(async () => 'launched')).catch((error: unknown) => String(error))
  behind.cancel()
  expect(await Promise.race([second, sleep(1_000, 'it waits')])).toMatch(/cancel/i)
  head.cancel()
  expect(await first).toMatch(/cancel/i)
})
