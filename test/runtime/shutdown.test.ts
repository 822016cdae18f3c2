import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'

const shutdown = fileURLToPath(new URL('../../runtime/shutdown.ts', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'skydeck-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A process of its own that ends the way `work` says. */
async function running(name: string, work: string, timeoutMs = 5000) {
  const script = join(folder, `${name}.ts`)
  writeFileSync(
    script,
    `import { onShutdown } from ${JSON.stringify(shutdown)}
     onShutdown(async (reason) => { ${work} }, { timeoutMs: ${timeoutMs}, onProblem: (p) => console.log(p) })
     setInterval(() => {}, 1000)
     console.log('up')`,
  )
  const child = spawn(process.execPath, ['--no-warnings', '--experimental-strip-types', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.on('data', (part) => (output += String(part)))
  const ended = once(child, 'exit')
  await expect.poll(() => output, { timeout: 10_000 }).toContain('up')
  return { child, ended, output: () => output }
}

describe('onShutdown', () => {
  it('does the work once and ends with 0, however often Ctrl-C arrives in the same moment', async () => {
    const { child, ended, output } = await running(
      'once',
      'console.log("stop", reason); await new Promise((r) => setTimeout(r, 300))',
    )
    for (const signal of ['SIGINT', 'SIGINT', 'SIGTERM'] as const) {
      child.kill(signal)
      await sleep(20)
    }
    expect(await ended).toEqual([0, null])
    expect(output().match(/stop/g)).toHaveLength(1)
  })

  it('ends at once when asked a second time', async () => {
    const { child, ended } = await running('twice', 'await new Promise(() => {})', 60_000)
    child.kill('SIGTERM')
    await sleep(1200)
    child.kill('SIGTERM')
    expect(await ended).toEqual([1, null])
  })

  it('ends with 1 when the work fails or takes too long', async () => {
    const failing = await running('failing', 'throw new Error("no brakes")')
    failing.child.kill('SIGTERM')
    expect(await failing.ended).toEqual([1, null])
    expect(failing.output()).toContain('no brakes')
    const slow = await running('slow', 'await new Promise(() => {})', 100)
    slow.child.kill('SIGTERM')
    expect(await slow.ended).toEqual([1, null])
    expect(slow.output()).toContain('not stopped after 100 ms')
  })
})
