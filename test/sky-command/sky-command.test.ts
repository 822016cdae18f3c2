import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify, stripVTControlCharacters } from 'node:util'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { TestSkyPilot } from '../local/skypilot-client.ts'

/**
 * SkyPilot's own command, a client that nobody here wrote, against the local server. It is installed once into the
 * user's cache; where that cannot be done the tests say so and are skipped.
 */
const VERSION = '0.14.1'
const INSTALL_MS = 280_000
const COMMAND_MS = 120_000
const CACHE = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache')
const VENV = process.env['SKYDECK_SKY_VENV'] ?? join(CACHE, 'skydeck', `sky-${VERSION}`)

const run = promisify(execFile)
const sky = await install()

/** Where the command is; nothing when it cannot be had. */
async function install(): Promise<string | undefined> {
  const done = join(VENV, 'complete')
  try {
    if (!existsSync(done)) {
      rmSync(VENV, { recursive: true, force: true })
      const within = { timeout: INSTALL_MS }
      await run('python3', ['-m', 'venv', VENV], within)
      const pip = ['-m', 'pip', 'install', '--quiet', '--no-compile', `skypilot==${VERSION}`]
      await run(join(VENV, 'bin', 'python'), pip, within)
      writeFileSync(done, '')
    }
    return join(VENV, 'bin', 'sky')
  } catch (error) {
    const why = error instanceof Error ? error.message.split('\n')[0] : ''
    process.stdout.write(`SKIPPED: SkyPilot's own command could not be installed: ${why}\n`)
    return undefined
  }
}

const server = new TestSkyPilot()
const home = mkdtempSync(join(tmpdir(), 'sky-command-'))

/** Runs the command as a person would, in a home of its own; what it says, without colours. */
const say = (...args: string[]): Promise<string> => sayAndExit(0, ...args)

/** The same for a call that ends with another code. */
async function sayAndExit(code: number, ...args: string[]): Promise<string> {
  const env = {
    PATH: process.env['PATH'] ?? '',
    HOME: home,
    SKYPILOT_API_SERVER_ENDPOINT: server.url,
    SKYPILOT_DISABLE_USAGE_COLLECTION: '1',
    SKYPILOT_USER_ID: 'a1b2c3d4',
    SKYPILOT_USER: 'deck',
  }
  const ended = await run(sky ?? '', args, { cwd: home, env, timeout: COMMAND_MS }).then(
    (output) => ({ code: 0, ...output }),
    (error: unknown) => error as { code: number | string; stdout: string; stderr: string },
  )
  const said = stripVTControlCharacters(ended.stdout + ended.stderr)
  expect({ args, said, code: ended.code }).toMatchObject({ code })
  return said
}

beforeAll(async () => {
  await server.start()
  mkdirSync(join(home, 'work'))
  writeFileSync(join(home, 'work', 'data.txt'), 'from the working directory\n')
})
afterAll(async () => {
  await server.dispose()
  rmSync(home, { recursive: true, force: true, maxRetries: 5 })
})

describe.skipIf(sky === undefined).concurrent('the sky command', { timeout: 5 * COMMAND_MS }, () => {
  test('finds the server: api info', async () => {
    expect(await say('api', 'info')).toMatch(/HEALTHY[^]*User: deck \(a1b2c3d4\)/)
  })

  test('clusters: launch, status, exec, queue, logs, cancel, down', async () => {
    const launched = await say('launch', '-y', '-c', 'c1', '--workdir', join(home, 'work'), 'cat data.txt')
    expect(launched).toContain('Cluster launched: c1')
    expect(launched).toContain('Job submitted, ID: 1')
    expect(launched).toMatch(/\(sky-cmd, pid=\d+\) from the working directory/)
    expect(await say('status')).toMatch(/^c1 .* UP /m)
    await say('exec', '-d', 'c1', 'echo second; sleep 600')
    expect(await say('queue', 'c1')).toMatch(/^2 .*RUNNING[^]*^1 .*SUCCEEDED/m)
    // 101: it has not ended.
    expect(await sayAndExit(101, 'logs', '--no-follow', 'c1', '2')).toContain('second')
    expect(await say('cancel', '-y', 'c1', '2')).toContain('Cancelled job ID(s): 2')
    await vi.waitFor(async () => expect(await server.count('cluster-job-cancelled')).toBe(1), 20_000)
    expect(await say('down', '-y', 'c1')).toContain('Terminating cluster c1...done')
    expect(await server.call('/status')).toEqual([])
  })

  test('managed jobs: launch, queue, logs, cancel', async () => {
    const launched = await say('jobs', 'launch', '-y', '-d', '-n', 'mine', 'echo managed; sleep 600')
    const [, id] = /Managed Job ID: (\d+)/.exec(launched) ?? []
    await server.until(Number(id), 'RUNNING')
    expect(await say('jobs', 'queue')).toMatch(/mine .*RUNNING/)
    expect(await say('jobs', 'logs', '--no-follow', id!)).toMatch(/\(mine, pid=\d+\) managed/)
    expect(await say('jobs', 'cancel', '-y', id!)).toContain(
      `Job with ID ${id} is scheduled to be cancelled.`,
    )
    await server.until(Number(id), 'CANCELLED', 20_000)
  })

  test('what is refused is told with the name of the exception', async () => {
    expect(await sayAndExit(1, 'exec', '-d', 'nowhere', 'true')).toContain(
      "ClusterDoesNotExist: Cluster 'nowhere' does not exist.",
    )
  })
})
