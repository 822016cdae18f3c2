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

/** What follows a request that failed, where a look finds this. */
function followed(
  launch: Omit<LaunchRequest, 'requestId'>,
  found: Found | SkyPilotError,
  exceptionName?: string,
) {
  const launches = launchesThatFind(found, exceptionName)
  const follow = () => launches.followLaunch({ requestId: 'r', ...launch })
  return surroundings().run<[], unknown, typeof follow>(follow)
}

const onCluster = { name: 'exp-1.1.1', clusterName: 'exp-1' }

test('a launch that failed after its job was in the queue has launched', async () => {
  expect(await followed(onCluster, { kind: 'found', jobId: 3 })).toEqual({ kind: 'found', jobId: 3 })
})

test('one that left nothing was refused, and so was one that SkyPilot refused before it sent anything', async () => {
  const making = { kind: 'making', byRequest: false } as const
  expect(await followed(onCluster, { kind: 'empty' })).toMatchObject({ kind: 'refused' })
  for (const name of ['ResourcesUnavailableError', 'ClusterNotUpError'])
    expect(await followed(onCluster, making, name)).toMatchObject({ kind: 'refused', exceptionName: name })
})

test('one whose cluster cannot be looked at after the way broke may have launched', async () => {
  const reason = 'the way broke'
  const unsure = {
    kind: 'unsure',
    reason,
    isForgotten: false,
    refusal: { reason, exceptionName: 'CommandError' },
  }
  expect(await followed(onCluster, { kind: 'making', byRequest: false })).toEqual(unsure)
  expect(await followed(onCluster, { kind: 'requested', requestId: 'other' })).toEqual(unsure)
})

test('one whose cluster SkyPilot cannot look at may have launched, and a look for it shows nothing', async () => {
  const broken = new SkyPilotError('rejected', 'ssh: connection closed', { exceptionName: 'CommandError' })
  const outcome = await followed(onCluster, broken)
  expect(outcome).toMatchObject({ kind: 'unsure', refusal: { reason: 'the way broke' } })
  const look = (isFailed: boolean) => {
    const launches = launchesThatFind(broken)
    const looking = () => launches.lookForLaunch({ ...onCluster, isFailed })
    return surroundings().run<[], unknown, typeof looking>(looking)
  }
  expect(await look(true)).toMatchObject({ kind: 'making' })
  await expect(look(false)).rejects.toThrow('connection closed')
})

test('where nobody can look it is open, and where SkyPilot wrote the job down itself there is nothing to look for', async () => {
  await expect(followed(onCluster, new SkyPilotError('unreachable', 'no answer'))).rejects.toThrow(
    'no answer',
  )
  const managed = { name: 'exp-1.1.1', clusterName: null }
  expect(await followed(managed, { kind: 'found', jobId: 3 })).toMatchObject({ kind: 'refused' })
})
