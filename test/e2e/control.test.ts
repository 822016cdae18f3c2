import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { SkyDeckError } from '../../sdk/client.ts'
import { processesWith, TestDesk } from '../support/desk.ts'

let desk: TestDesk

beforeAll(async () => {
  desk = await TestDesk.create()
})
afterAll(() => desk.dispose())

/** A command that can be found in the process table by its mark. */
const sleeper = (mark: string): string => `exec -a ${mark} sleep 600`
const alive = (mark: string): number => processesWith(mark).length

async function linesOf(id: number): Promise<string[]> {
  const lines: string[] = []
  for await (const line of desk.sdk.logs(id)) lines.push(line)
  return lines
}

describe('one experiment', () => {
  test('runs to its end: exit code, duration and output are kept', async () => {
    const { id } = await desk.sdk.create({
      name: 'counts',
      command: 'for i in 1 2 3; do echo "line $i of" {name} {flags}; sleep 0.2; done',
      flags: { 'trainer.lr': 0.001, text: 'two words; $(false)' },
    })
    const askedAtMs = Date.now()
    await desk.sdk.setDesiredState(id, 'RUNNING')
    await desk.sdk.waitFor(id, ['running', 'finishing', 'succeeded'], { timeoutMs: 15_000 })
    expect(Date.now() - askedAtMs).toBeLessThan(10_000)
    const end = await desk.sdk.waitFor(id, 'succeeded', { timeoutMs: 15_000 })
    expect(end).toMatchObject({ exit_code: 0, desired_state: 'RUNNING', why: 'finished with exit code 0' })
    const [job] = await desk.sdk.jobs(id)
    expect(job).toMatchObject({ status: 'SUCCEEDED', exit_code: 0, run: 1, attempt: 1 })
    expect(Date.parse(job!.ended_at!) - Date.parse(job!.started_at!)).toBeGreaterThan(500)
    const text = 'line 3 of counts text=two words; $(false) trainer.lr=0.001'
    expect((await linesOf(id)).join('\n')).toContain(text)
  })

  test('that fails says how, and RUNNING again is another run', async () => {
    const { id } = await desk.sdk.create({
      name: 'fails',
      command: 'echo last words; exit 3',
      desiredState: 'RUNNING',
    })
    const end = await desk.sdk.waitFor(id, 'failed', { timeoutMs: 15_000 })
    expect(end).toMatchObject({ exit_code: 3, why: 'your code failed with exit code 3' })
    expect((await linesOf(id)).join('\n')).toContain('last words')
    await desk.sdk.setDesiredState(id, 'RUNNING')
    await expect.poll(async () => (await desk.sdk.jobs(id)).length, { timeout: 15_000 }).toBe(2)
    await desk.sdk.waitFor(id, 'failed', { timeoutMs: 15_000 })
    expect((await desk.sdk.jobs(id)).map(({ run }) => run)).toEqual([2, 1])
  })

  test('stopped half-way is gone, with everything that it started', async () => {
    const { id } = await desk.sdk.create({
      name: 'stops',
      command: '(exec -a mark-stops-child sleep 600) & exec -a mark-stops sleep 600',
      desiredState: 'RUNNING',
    })
    await desk.sdk.waitFor(id, 'running', { timeoutMs: 15_000 })
    await expect.poll(() => alive('mark-stops')).toBeGreaterThanOrEqual(2)
    await desk.sdk.setDesiredState(id, 'STOPPED', 'changed my mind')
    const end = await desk.sdk.waitFor(id, 'stopped', { timeoutMs: 20_000 })
    expect(end.desired_state).toBe('STOPPED')
    expect(alive('mark-stops')).toBe(0)
    expect((await desk.sdk.jobs(id))[0]).toMatchObject({ status: 'CANCELLED', outcome: 'cancelled' })
  })

  test('deleted while it runs leaves nothing, and its name is free', async () => {
    const { id } = await desk.sdk.create({
      name: 'goes',
      command: sleeper('mark-goes'),
      desiredState: 'RUNNING',
    })
    await desk.sdk.waitFor(id, 'running', { timeoutMs: 15_000 })
    await desk.sdk.delete(id)
    await expect.poll(() => alive('mark-goes'), { timeout: 20_000 }).toBe(0)
    await expect(desk.sdk.get('goes')).rejects.toMatchObject({ status: 404 })
    await expect
      .poll(() => desk.sdk.get(id).catch((error: SkyDeckError) => error.status), { timeout: 20_000 })
      .toBe(404)
    await expect(desk.sdk.create({ name: 'goes', command: 'true' })).resolves.toMatchObject({ name: 'goes' })
  })
})

describe('one running job', () => {
  test('50 starts at once are one job', async () => {
    const { id } = await desk.sdk.create({ name: 'fifty', command: sleeper('mark-fifty') })
    await Promise.all(Array.from({ length: 50 }, () => desk.sdk.setDesiredState(id, 'RUNNING')))
    await desk.sdk.waitFor(id, 'running', { timeoutMs: 20_000 })
    expect(alive('mark-fifty')).toBe(1)
    expect(await desk.submitted('fifty-')).toBe(1)
    await desk.sdk.setDesiredState(id, 'STOPPED')
    await desk.sdk.waitFor(id, 'stopped', { timeoutMs: 20_000 })
  })

  test('100 changes of mind in 5 s: never two at once, and the last wish wins', async () => {
    const { id } = await desk.sdk.create({ name: 'toggles', command: sleeper('mark-toggles') })
    let most = 0
    const watch = setInterval(() => (most = Math.max(most, alive('mark-toggles'))), 50)
    const wishes: Promise<number>[] = []
    for (let i = 0; i < 100; i += 1) {
      const wish = desk.sdk.setDesiredState(id, i % 2 === 0 ? 'RUNNING' : 'STOPPED')
      wishes.push(
        wish.then(
          () => 200,
          (error: SkyDeckError) => error.status,
        ),
      )
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    // Where the machine stands still for seconds, some are told to ask again; the last word is what counts.
    const answers = await Promise.all(wishes)
    expect(answers.filter((status) => status === 200).length).toBeGreaterThan(50)
    expect(answers.filter((status) => status !== 200 && status !== 503)).toEqual([])
    await desk.sdk.setDesiredState(id, 'RUNNING', 'the last word')
    await desk.sdk.waitFor(id, 'running', { timeoutMs: 60_000 })
    await expect.poll(() => alive('mark-toggles'), { timeout: 30_000 }).toBe(1)
    clearInterval(watch)
    expect(most).toBe(1)
    await desk.sdk.setDesiredState(id, 'STOPPED')
    await desk.sdk.waitFor(id, 'stopped', { timeoutMs: 30_000 })
    expect(alive('mark-toggles')).toBe(0)
  })
})

describe('messages from a command line', () => {
  test('setDesiredState takes a bare word', async () => {
    const { id } = await desk.sdk.create({ name: 'signalled', command: 'echo hi' })
    const temporal = await desk.temporal()
    await temporal.workflow.getHandle(`experiment-${id}`).signal('setDesiredState', 'RUNNING')
    await desk.sdk.waitFor(id, 'succeeded', { timeoutMs: 20_000 })
    await temporal.connection.close()
  })

  test('garbage changes nothing, is counted, and the experiment still answers', async () => {
    const { id } = await desk.sdk.create({ name: 'pestered', command: 'true' })
    const temporal = await desk.temporal()
    const handle = temporal.workflow.getHandle(`experiment-${id}`)
    const garbage: Array<[string, unknown]> = [
      ['setDesiredState', 'running'],
      ['setDesiredState', { state: ['RUNNING'] }],
      ['setFlags', { 'bad key': 1 }],
      ['observe', [{ kind: 'observed' }]],
      ['observe', 7],
      ['edit', { spec: { nodes: 'many' } }],
      ['noSuchSignal', {}],
    ]
    for (const [name, value] of garbage) await handle.signal(name, value)
    await sendRaw(temporal, id)
    await expect
      .poll(async () => (await handle.query<{ badMessages: number }>('getState')).badMessages, {
        timeout: 10_000,
      })
      .toBe(garbage.length + 1)
    const now = await desk.sdk.get(id)
    expect(now).toMatchObject({ desired_state: 'STOPPED', phase: 'idle' })
    await desk.sdk.setDesiredState(id, 'RUNNING')
    await desk.sdk.waitFor(id, 'succeeded', { timeoutMs: 20_000 })
    await temporal.connection.close()
  })
})

/** A payload in an encoding that nobody knows, as a broken client would send it. */
async function sendRaw(temporal: Awaited<ReturnType<TestDesk['temporal']>>, id: number): Promise<void> {
  await temporal.workflowService.signalWorkflowExecution({
    namespace: 'default',
    workflowExecution: { workflowId: `experiment-${id}` },
    signalName: 'setDesiredState',
    input: {
      payloads: [{ metadata: { encoding: Buffer.from('json/plain') }, data: Buffer.from('{not json') }],
    },
  })
}
