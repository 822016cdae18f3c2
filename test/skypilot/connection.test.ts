import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { findConnection, userHashOf } from '../../skypilot/connection.ts'
import { cookieHeader } from '../../skypilot/cookies.ts'
import { InvalidError } from '../../skypilot/errors.ts'

let home = ''
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'skypilot-'))
  mkdirSync(join(home, '.sky'))
})
afterEach(() => rmSync(home, { recursive: true, force: true }))

const write = (name: string, text: string): void => writeFileSync(join(home, '.sky', name), text)

describe('the server', () => {
  test('is the one of the environment, then of the configuration, then the local one', () => {
    const environment = { SKYPILOT_API_SERVER_ENDPOINT: 'http://a.example' }
    expect(findConnection({}, home).endpoint).toBe('http://127.0.0.1:46580')
    expect(findConnection({ SKYPILOT_API_SERVER_LOCAL_PORT: '5000' }, home).endpoint).toBe(
      'http://127.0.0.1:5000',
    )
    write('config.yaml', 'api_server: {endpoint: "http://b.example"}')
    expect(findConnection({}, home).endpoint).toBe('http://b.example')
    expect(findConnection(environment, home).endpoint).toBe('http://a.example')
  })

  test('may be named by another configuration file, which must be there', () => {
    writeFileSync(
      join(home, 'other.yaml'),
      'api_server: {endpoint: "http://c.example", service_account_token: sky_c}',
    )
    const found = findConnection({ SKYPILOT_GLOBAL_CONFIG: '~/other.yaml' }, home)
    expect(found).toMatchObject({ endpoint: 'http://c.example', token: 'sky_c' })
    expect(() => findConnection({ SKYPILOT_GLOBAL_CONFIG: '~/none.yaml' }, home)).toThrow(
      /^SKYPILOT_GLOBAL_CONFIG: /,
    )
  })
})

describe('the token', () => {
  test('is the one of the environment, then of the configuration', () => {
    write('config.yaml', 'api_server: {service_account_token: sky_file}')
    expect(findConnection({}, home).token).toBe('sky_file')
    expect(findConnection({ SKYPILOT_SERVICE_ACCOUNT_TOKEN: 'sky_own' }, home).token).toBe('sky_own')
  })

  test('that SkyPilot would pass over is refused, and not shown', () => {
    const find = () => findConnection({ SKYPILOT_SERVICE_ACCOUNT_TOKEN: 'hunter2' }, home)
    expect(find).toThrow(InvalidError)
    expect(find).toThrow(/^(?!.*hunter2).*"sky_"/)
  })
})

describe('the user', () => {
  const id = (environment: Record<string, string>) => findConnection(environment, home).user.id

  test('is the one of the environment, then of the file, then the one that SkyPilot would make up', () => {
    expect(id({ USER: 'me' })).toBe(userHashOf('me', hostname()))
    write('user_hash', 'a1b2c3d4\n')
    expect(id({ USER: 'me' })).toBe('a1b2c3d4')
    expect(id({ SKYPILOT_USER_ID: 'sa-1' })).toBe('sa-1')
    expect(id({ SKYPILOT_USER_ID: 'no id!' })).toBe('a1b2c3d4')
  })

  test('has the hash that SkyPilot 0.14.1 was seen to give', () => {
    expect(userHashOf('ada', 'lovelace')).toBe('4003f913')
  })

  test('has a name', () => {
    expect(findConnection({ USER: 'me' }, home).user.name).toBe('me')
    expect(findConnection({ USER: 'me', SKYPILOT_USER: 'deck' }, home).user.name).toBe('deck')
    expect(findConnection({}, home).user.name).not.toBe('')
  })
})

describe('cookies of a log-in', () => {
  const NOW = 1_800_000_000_000
  const LATER = '1900000000'
  const line = (...fields: string[]): string => fields.join('\t')
  const header = (cookie: string, url: string): string | null =>
    cookieHeader(`# Netscape HTTP Cookie File\n\n${cookie}\n`, new URL(url), NOW)

  test.each([
    ['sky.example', 'FALSE', 'https://sky.example/status', true],
    ['sky.example', 'FALSE', 'https://a.sky.example/status', false],
    ['.sky.example', 'TRUE', 'https://a.sky.example/status', true],
    ['.sky.example', 'TRUE', 'https://sky.example/status', true],
    ['.sky.example', 'TRUE', 'https://notsky.example/status', false],
    ['sky.example', 'FALSE', 'https://sky.example.evil.test/status', false],
    ['localhost.local', 'FALSE', 'https://localhost:46580/', true],
    ['0.0.1', 'TRUE', 'https://127.0.0.1/', false],
    ['127.0.0.1', 'FALSE', 'https://127.0.0.1/', true],
    ['::1', 'FALSE', 'https://[::1]/', true],
  ])('one of %s (subdomains: %s) and %s belong together: %s', (domain, subdomains, url, isSent) => {
    expect(header(line(domain, subdomains, '/', 'TRUE', LATER, 'a', 'b'), url)).toBe(isSent ? 'a=b' : null)
  })

  test.each([
    ['/', 'https://x.test/api/get', true],
    ['/api', 'https://x.test/api/get', true],
    ['/api', 'https://x.test/apis', false],
    ['/api/', 'https://x.test/api/get', true],
    ['/api/get', 'https://x.test/api', false],
  ])('one for %s and %s belong together: %s', (path, url, isSent) => {
    expect(header(line('x.test', 'FALSE', path, 'FALSE', LATER, 'a', 'b'), url)).toBe(isSent ? 'a=b' : null)
  })

  test('one that is secure is not sent in the clear', () => {
    const secure = line('x.test', 'FALSE', '/', 'TRUE', LATER, 'a', 'b')
    expect(header(secure, 'http://x.test/')).toBeNull()
  })

  test.each(['1700000000', '0', '', 'soon'])('one that ends at %j is over', (expires) => {
    expect(header(line('x.test', 'FALSE', '/', 'FALSE', expires, 'a', 'b'), 'https://x.test/')).toBeNull()
  })

  test('several are sent together, those of the closest path first, and comments and scraps are not', () => {
    const text = [
      line('x.test', 'FALSE', '/', 'FALSE', LATER, 'a', '1=2'),
      `#HttpOnly_${line('x.test', 'FALSE', '/api', 'FALSE', LATER, '_oauth2_proxy', 'abc|def')}`,
      `# ${line('x.test', 'FALSE', '/', 'FALSE', LATER, 'c', '3')}`,
      'x.test\tFALSE\t/',
      line('x.test', 'FALSE', '/', 'FALSE', LATER, 'evil', 'a\u0001b'),
    ].join('\r\n')
    expect(header(text, 'https://x.test/api/get')).toBe('_oauth2_proxy=abc|def; a=1=2')
  })

  test('are read from the file of SkyPilot, as it is at the time', () => {
    const { cookies } = findConnection({}, home)
    const url = new URL('https://x.test/')
    expect(cookies?.(url)).toBeNull()
    write('cookies.txt', line('x.test', 'FALSE', '/', 'FALSE', '9900000000', 'a', 'b'))
    expect(cookies?.(url)).toBe('a=b')
    expect(findConnection({ SKYPILOT_API_COOKIE_FILE: '~/none' }, home).cookies?.(url)).toBeNull()
  })
})
