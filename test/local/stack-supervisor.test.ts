import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ChildSpec } from '../../local/child.ts'
import { prepareHome } from '../../local/home.ts'
import { AlreadyRunning, takeLock } from '../../local/lock.ts'
import { choosePorts } from '../../local/ports.ts'
import { isAlive, ownIdentity, startOf, stopProcess } from '../../local/processes.ts'
import { Supervisor, untilReady } from '../../local/supervisor.ts'

let home = ''
let said: string[] = []
const supervisors: Supervisor[] = []

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'skydeck-'))
  said = []
})
afterEach(async () => {
  for (const supervisor of supervisors.splice(0)) await supervisor.stop()
  rmSync(home, { recursive: true, force: true })
})

function supervise(): Supervisor {
  const supervisor = new Supervisor(home, (line) => said.push(line))
  supervisors.push(supervisor)
  return supervisor
}

function script(name: string, code: string): ChildSpec {
  return { name, command: process.execPath, args: ['-e', code], env: { STOPPED: join(home, 'stopped') } }
}

const waits = 'setInterval(() => {}, 1000); console.log("up");'
const tellsWhenStopped = (name: string) =>
  `${waits} process.on('SIGTERM', () => { require('fs').appendFileSync(process.env.STOPPED, '${name} '); process.exit(0) })`
const logOf = (name: string) => {
  const path = join(home, 'logs', `${name}.log`)
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}
const up = (name: string) => expect.poll(() => logOf(name), { timeout: 10_000 }).toContain('up')

describe('the supervisor', () => {
  it('starts a child again when it dies, and says so', async () => {
    const child = await supervise().start(script('web', waits))
    await up('web')
    const first = child.identity
    process.kill(first?.pid ?? 0, 'SIGKILL')
    await expect.poll(() => child.identity?.pid ?? first?.pid, { timeout: 5000 }).not.toBe(first?.pid)
    expect(child.deaths).toBe(1)
    expect(said.join()).toMatch(/web ended \(SIGKILL\) and is started again/)
  })

  it('stops those who use before those who are used, and leaves none', async () => {
    const supervisor = supervise()
    const children = []
    for (const name of ['postgres', 'temporal', 'worker', 'web', 'skypilot']) {
      children.push(await supervisor.start(script(name, tellsWhenStopped(name))))
      await up(name)
    }
    const identities = children.flatMap(({ identity }) => (identity === null ? [] : [identity]))
    expect(identities).toHaveLength(5)
    await supervisor.stop()
    expect(readFileSync(join(home, 'stopped'), 'utf8')).toBe('web worker skypilot temporal postgres ')
    expect(identities.some(isAlive)).toBe(false)
    expect(existsSync(join(home, 'pids.json'))).toBe(false)
  })

  it('ends what a killed supervisor left, and nothing else', async () => {
    const left = spawn(process.execPath, ['-e', waits], { stdio: 'ignore' })
    const other = spawn(process.execPath, ['-e', waits], { stdio: 'ignore' })
    const identity = { pid: left.pid ?? 0, started: startOf(left.pid ?? 0) ?? '' }
    const pids = [
      { name: 'web', ...identity, signal: 'SIGTERM' },
      { name: 'worker', pid: other.pid, started: 'long before', signal: 'SIGTERM' },
    ]
    writeFileSync(join(home, 'pids.json'), JSON.stringify(pids))
    await supervise().stopLeftovers()
    expect(isAlive(identity)).toBe(false)
    expect(startOf(other.pid ?? 0)).not.toBeNull()
    other.kill('SIGKILL')
  })

  it('gives up waiting for a child that keeps dying, and shows the end of its log', async () => {
    const child = await supervise().start(script('worker', 'console.log("no database"); process.exit(3)'))
    await expect(untilReady(child, async () => false, 20_000)).rejects.toThrow(
      /worker does not start[^]*no database/,
    )
  })

  it('keeps the log of a restart within bounds', async () => {
    const supervisor = supervise()
    const log = join(home, 'logs/web.log')
    writeFileSync(log, Buffer.alloc(10 * 1024 * 1024 + 1))
    await supervisor.start(script('web', waits))
    await up('web')
    expect(existsSync(`${log}.1`)).toBe(true)
    expect(logOf('web').length).toBeLessThan(100)
  })
})

describe('stopProcess', () => {
  it('kills what does not listen', async () => {
    const child = spawn(process.execPath, ['-e', `process.on('SIGTERM', () => {}); ${waits}`])
    await new Promise((heard) => child.stdout.once('data', heard))
    const identity = { pid: child.pid ?? 0, started: startOf(child.pid ?? 0) ?? '' }
    await stopProcess(identity, 'SIGTERM', 200)
    expect(isAlive(identity)).toBe(false)
  })
})

describe('the lock', () => {
  it('lets one SkyDeck run in a home and tells the other where it is', () => {
    const unlock = takeLock(home, 'http://127.0.0.1:7777')
    expect(() => takeLock(home, 'http://127.0.0.1:8888')).toThrow(AlreadyRunning)
    expect(() => takeLock(home, 'http://127.0.0.1:8888')).toThrow(/http:\/\/127\.0\.0\.1:7777/)
    unlock()
    takeLock(home, 'http://127.0.0.1:8888')()
    expect(existsSync(join(home, 'skydeck.lock'))).toBe(false)
  })

  it.each([
    ['of a dead process', JSON.stringify({ pid: 2 ** 22 + 1, started: 'x', address: 'a' })],
    [
      'of a number that another process has now',
      JSON.stringify({ ...ownIdentity(), started: 'x', address: 'a' }),
    ],
    ['cut short', '{"pid":'],
  ])('takes over one %s', (_, content) => {
    writeFileSync(join(home, 'skydeck.lock'), content)
    takeLock(home, 'b')()
  })
})

describe('ports and home', () => {
  it('exchanges a busy default and reports a busy choice', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await new Promise((listening) => taken.once('listening', listening))
    const address = taken.address()
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0
    const wish = { what: 'Temporal', port, setting: 'SKYDECK_TEMPORAL_PORT' }
    const moved = await choosePorts('127.0.0.1', { temporal: { ...wish, fixed: false } })
    expect(moved.problems).toEqual([])
    expect(moved.ports.temporal).toBeGreaterThan(port)
    const refused = await choosePorts('127.0.0.1', { temporal: { ...wish, fixed: true } })
    expect(refused.problems).toEqual([expect.stringMatching(new RegExp(`${port}.*SKYDECK_TEMPORAL_PORT`))])
    taken.close()
  })

  it('says in one line that a home cannot be made', () => {
    writeFileSync(join(home, 'file'), '')
    expect(() => prepareHome(join(home, 'file/home'))).toThrow(/^The home folder .* SKYDECK_HOME$/)
    prepareHome(join(home, 'a/b'))
    expect(existsSync(join(home, 'a/b'))).toBe(true)
  })
})
