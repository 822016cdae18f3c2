import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FENCED_EXIT_CODE, type FenceMode, fenced } from '../../core/fence.ts'

const NOWHERE = 'http://127.0.0.1:1/'
const RUNS = { code: 0, said: 'it runs' }
const LEAVES = { code: FENCED_EXIT_CODE, said: '' }

/** Runs a fenced command in a shell that gives up at the first failure, as people's commands may. */
function run(
  mode: FenceMode,
  url: string,
  { holder = 'job-1', path = process.env['PATH'] } = {},
): Promise<{ code: number | null; said: string }> {
  const task = fenced({ envs: {}, run: 'echo it runs' }, { mode, url, token: 't' })
  const env = { PATH: path, SKYPILOT_TASK_ID: holder, ...task.envs }
  const bash = spawn('/bin/bash', ['-e', '-c', task.run], { env, stdio: ['ignore', 'pipe', 'ignore'] })
  let said = ''
  bash.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
  return new Promise((resolve) => bash.on('close', (code) => resolve({ code, said: said.trim() })))
}

test('a desk that cannot be reached lets the job run under try, and not under require', async () => {
  expect(await run('off', NOWHERE)).toEqual(RUNS)
  expect(await run('try', NOWHERE)).toEqual(RUNS)
  expect(await run('require', NOWHERE)).toEqual(LEAVES)
})

const PYTHON = '/usr/bin/python3'
const hasPython = existsSync(PYTHON)
const canAsk = hasPython || spawnSync('curl', ['--version']).status === 0

describe.skipIf(!canAsk)('a desk that gives the lease to the first that asks', () => {
  const asked: string[] = []
  let holder: string | null = null
  const desk = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      const given = JSON.parse(body) as { holder: string }
      asked.push(`${request.method} ${request.headers.authorization} ${given.holder}`)
      holder ??= given.holder
      response.writeHead(holder === given.holder ? 200 : 409).end()
    })
  })
  let url = ''
  let folder = ''
  beforeAll(async () => {
    await new Promise<void>((resolve) => desk.listen(0, '127.0.0.1', () => resolve()))
    url = `http://127.0.0.1:${(desk.address() as AddressInfo).port}/`
    folder = mkdtempSync(join(tmpdir(), 'skydeck-fence-'))
    symlinkSync(PYTHON, join(folder, 'python3'))
  })
  afterAll(() => {
    desk.close()
    rmSync(folder, { recursive: true, force: true })
  })

  test.each<FenceMode>(['try', 'require'])(
    'under %s the first job runs, again too, and a second one leaves before its command',
    async (mode) => {
      holder = null
      expect(await run(mode, url)).toEqual(RUNS)
      expect(await run(mode, url)).toEqual(RUNS)
      expect(await run(mode, url, { holder: 'job-2' })).toEqual(LEAVES)
      expect(asked).toContain('POST Bearer t job-2')
    },
  )

  test.skipIf(!hasPython)('where there is no curl it is asked all the same', async () => {
    holder = 'job-1'
    expect(await run('try', url, { holder: 'job-1', path: folder })).toEqual(RUNS)
    expect(await run('try', url, { holder: 'job-2', path: folder })).toEqual(LEAVES)
  })

  test('where there is neither curl nor python3 it is as if the desk could not be reached', async () => {
    holder = 'job-1'
    expect(await run('try', url, { holder: 'job-2', path: '/nowhere' })).toEqual(RUNS)
    expect(await run('require', url, { holder: 'job-1', path: '/nowhere' })).toEqual(LEAVES)
  })
})
