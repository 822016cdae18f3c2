import { expect, test } from 'vitest'
import type { Found } from '../../activities/find-launch.ts'
import { createLaunches, type LaunchRequest } from '../../activities/launch.ts'
import type { SkyPilot } from '../../skypilot/client.ts'
import { SkyPilotError } from '../../skypilot/errors.ts'
import { surroundings } from './bench.ts'

function launchesThatFind(found: Found | SkyPilotError, exceptionName = 'CommandError') {
  const refused = new SkyPilotError('rejected', 'the way broke', { exceptionName })
  return createLaunches({
    skypilot: {
      requests: { attach: () => ({ result: () => Promise.reject(refused) }) },
    } as unknown as SkyPilot,
    find: () => (found instanceof SkyPilotError ? Promise.reject(found) : Promise.resolve(found)),
    gate: { pass: (work) => work() },
    fenceOf: () => ({ mode: 'off', url: '', token: '' }),
    askForLook: () => Promise.resolve(),
  })
}

/** What follows a request that failed. */
function followed(launch: Omit<LaunchRequest, 'requestId'>, exceptionName?: string) {
  const launches = launchesThatFind({ kind: 'empty' }, exceptionName)
  const follow = () => launches.followLaunch({ requestId: 'r', ...launch })
  return surroundings().run<[], unknown, typeof follow>(follow)
}

/** What a look for a launch comes to that finds this. */
function looked(found: Found | SkyPilotError, isFailed: boolean) {
  const look = () => launchesThatFind(found).lookForLaunch({ name: 'exp-1.1.1', ...onCluster, isFailed })
  return surroundings().run<[], unknown, typeof look>(look)
}

const onCluster = { clusterName: 'exp-1' }

test('a launch on a cluster that failed may have launched: it is looked for before that is believed', async () => {
  const reason = 'the way broke'
  const refusal = { reason, exceptionName: 'CommandError' }
  expect(await followed(onCluster)).toEqual({ kind: 'unsure', reason, isForgotten: false, refusal })
})

test('one that SkyPilot refused before it sent anything was refused, and so was one that it writes down itself', async () => {
  for (const name of ['ResourcesUnavailableError', 'ClusterNotUpError'])
    expect(await followed(onCluster, name)).toMatchObject({ kind: 'refused', exceptionName: name })
  expect(await followed({ clusterName: null })).toMatchObject({ kind: 'refused' })
})

test('that SkyPilot answers and cannot look shows nothing of a launch that failed, and is no answer about any other', async () => {
  const broken = new SkyPilotError('rejected', 'ssh: connection closed', { exceptionName: 'CommandError' })
  const away = new SkyPilotError('unreachable', 'no answer')
  expect(await looked(broken, true)).toEqual({ kind: 'making', byRequest: false })
  await expect(looked(broken, false)).rejects.toThrow('connection closed')
  await expect(looked(away, true)).rejects.toThrow('no answer')
  expect(await looked({ kind: 'found', jobId: 3 }, true)).toEqual({ kind: 'found', jobId: 3 })
})
