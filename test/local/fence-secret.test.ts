import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { fenceSecret } from '../../local/fence-secret.ts'
import { environmentOf } from '../../local/services.ts'
import { fenceOf } from '../../runtime/fence-token.ts'
import { readSettings } from '../../runtime/env.ts'

let home: string

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'skydeck-test-'))
})
afterEach(() => rmSync(home, { recursive: true, force: true }))

test('the secret is made once, for its owner only, and nothing else is left beside it', () => {
  const secret = fenceSecret(home)
  expect(secret).toMatch(/^[\w-]{43}$/)
  expect(fenceSecret(home)).toBe(secret)
  expect(statSync(join(home, 'fence-secret')).mode & 0o777).toBe(0o600)
  expect(readdirSync(home)).toEqual(['fence-secret'])
})

describe('the processes of a stack', () => {
  const settings = (env: Record<string, string> = {}) => readSettings({ ...env, SKYDECK_HOME: home })
  const addresses = {
    databaseUrl: 'postgres://localhost/skydeck',
    temporalAddress: '127.0.0.1:7233',
    temporalUiUrl: null,
    skypilotEndpoint: 'http://127.0.0.1:46580',
  }
  /** What the worker and the console read of it. */
  const given = (env: Record<string, string> = {}, of = addresses) =>
    readSettings(environmentOf(settings(env), of))

  test('fence jobs of this machine by the console of the stack', () => {
    const read = given({ SKYDECK_HOST: '0.0.0.0', SKYDECK_PORT: '7000' })
    const secret = fenceSecret(home)
    expect(fenceOf(read)).toEqual({ mode: 'try', url: 'http://127.0.0.1:7000', secret })
    expect(read.launchesInFlight).toBe(4)
  })

  test('fence jobs elsewhere only by an address that was named', () => {
    const far = { ...addresses, skypilotEndpoint: 'https://sky.example' }
    expect(fenceOf(given({}, far))).toBeNull()
    const named = given({ SKYDECK_FENCE_URL: 'https://desk.example', SKYDECK_LAUNCHES_IN_FLIGHT: '9' }, far)
    expect(fenceOf(named)).toMatchObject({ url: 'https://desk.example' })
    expect(named.launchesInFlight).toBe(9)
  })

  test('are told when the fence is off', () => {
    expect(fenceOf(given({ SKYDECK_FENCE: 'off' }))).toBeNull()
  })
})
