import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { alive, POLL, Rig, WAIT } from '../support/rig.ts'

// The row of docs/failure-catalogue.md about a full disk: the data of Postgres lies in a file system of its own.

const SIZE = '200m'

function mount(folder: string): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE}`, 'tmpfs', folder], { stdio: 'pipe' })
}

const unmount = (folder: string): void => void execFileSync('umount', [folder], { stdio: 'pipe' })

/** Why this test cannot have a file system of its own here; empty when it can. */
function whyNot(): string {
  const folder = mkdtempSync(join(tmpdir(), 'skydeck-mount-'))
  try {
    mount(folder)
    unmount(folder)
    return ''
  } catch (error) {
    return `skipped, for nothing can be mounted here: ${String(error).split('\n', 2).join(' ')}`
  } finally {
    rmdirSync(folder)
  }
}

const reason = whyNot()

describe.skipIf(reason !== '')('row 42: the disk of Postgres is full', () => {
  let rig: Rig
  let data: string

  beforeAll(async () => {
    rig = await Rig.start()
    await rig.desk.stop()
    data = join(rig.desk.home, 'desk', 'postgres')
    const copy = `${data}.copy`
    execFileSync('cp', ['-a', data, copy])
    mount(data)
    execFileSync('cp', ['-a', `${copy}/.`, data])
    rmSync(copy, { recursive: true })
    await rig.desk.start()
  })
  afterAll(async () => {
    await rig?.desk.stop()
    if (data !== undefined) unmount(data)
    await rig?.dispose()
  })

  const fill = (): void => {
    // It ends with an error, for that is what it is to find.
    try {
      execFileSync('dd', ['if=/dev/zero', `of=${join(data, 'filler')}`, 'bs=64k'], { stdio: 'pipe' })
    } catch {
      return
    }
    throw new Error('the disk has no end')
  }

  /** Such a row does not fit into the space that Postgres has left in its files. */
  const create = (name: string): Promise<Response> =>
    rig.post('/api/experiments', { name, command: `true ${randomBytes(30_000).toString('base64')}` })

  test('row 42: what cannot be written is refused in words, experiments go on, and all is well when there is space', async () => {
    const { id, mark } = await rig.running('disk-calm')
    fill()
    let name = ''
    let answer: Response | undefined
    for (let index = 0; index < 200 && answer?.ok !== false; index += 1) {
      name = `disk-${index}`
      answer = await create(name)
    }
    expect(answer?.status).toBe(503)
    expect(await answer?.text()).toMatch(/disk of Postgres is full/)
    expect(await rig.desk.sdk.list({ search: name })).toEqual([])
    await rig.handleOf(id).signal('setDesiredState', 'STOPPED')
    await expect.poll(() => alive(mark), POLL).toBe(0)
    rmSync(join(data, 'filler'))
    const freeAtMs = performance.now()
    await expect.poll(async () => (await create(name)).status, { timeout: 5_000, interval: 100 }).toBe(200)
    expect(performance.now() - freeAtMs).toBeLessThan(5_000)
    await rig.desk.sdk.waitFor(id, 'stopped', WAIT)
    expect(await rig.desk.submitted('disk-calm-')).toBe(1)
    expect(await rig.failuresOf(id)).toEqual([])
  })
})

test.skipIf(reason === '')(`row 42: ${reason}`, () => undefined)
