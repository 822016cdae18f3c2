import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { findEndpoint } from '../../skypilot/endpoint.ts'

let home = ''
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'skydeck-'))
  mkdirSync(join(home, '.sky'))
})
afterEach(() => rmSync(home, { recursive: true, force: true }))

const write = (text: string): void => writeFileSync(join(home, '.sky/config.yaml'), text)

test('the configuration file names the server', () => {
  write('api_server:\n  endpoint: http://sky.example:46580\njobs: {}\n')
  expect(findEndpoint(null, home)).toBe('http://sky.example:46580')
})

test('the environment wins over the file', () => {
  write('api_server: {endpoint: "http://sky.example:46580"}')
  expect(findEndpoint('http://other:1', home)).toBe('http://other:1')
})

test.each(['', 'jobs: {}', 'api_server: {endpoint: 7}'])('there is none in %j', (text) => {
  write(text)
  expect(findEndpoint(null, home)).toBeNull()
})

test('there is none without the file', () => {
  expect(findEndpoint(null, home)).toBeNull()
})

test('a file that is not YAML is named, instead of quietly using another server', () => {
  write('{{ not yaml')
  expect(() => findEndpoint(null, home)).toThrow(/config\.yaml cannot be read as YAML/)
})
