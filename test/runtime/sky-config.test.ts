import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { endpointOfSkyConfig } from '../../runtime/sky-config.ts'

let home = ''
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'skydeck-'))
  mkdirSync(join(home, '.sky'))
})
afterEach(() => rmSync(home, { recursive: true, force: true }))

it('reads the endpoint', () => {
  writeFileSync(
    join(home, '.sky/config.yaml'),
    'api_server:\n  endpoint: http://sky.example:46580/\njobs: {}\n',
  )
  expect(endpointOfSkyConfig(home)).toBe('http://sky.example:46580')
})

it.each(['', 'jobs: {}', 'api_server: {endpoint: 7}', '{{ not yaml'])('finds none in %j', (content) => {
  writeFileSync(join(home, '.sky/config.yaml'), content)
  expect(endpointOfSkyConfig(home)).toBeNull()
})

it('finds none without the file', () => expect(endpointOfSkyConfig(home)).toBeNull())
