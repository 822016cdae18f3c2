import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { FENCED_EXIT_CODE, type FenceMode, fenced } from '../../core/fence.ts'

/** Runs a fenced command in a shell that gives up at the first failure, as people's commands may. */
function run(mode: FenceMode, url: string): { code: number | null; said: string } {
  const task = fenced({ envs: {}, run: 'echo it runs' }, { mode, url, token: 't' })
  const env = { PATH: process.env['PATH'], SKYPILOT_TASK_ID: 'job-1', ...task.envs }
  const { status, stdout } = spawnSync('bash', ['-e', '-c', task.run], { env, encoding: 'utf8' })
  return { code: status, said: stdout.trim() }
}

test('a desk that cannot be reached lets the job run under try, and not under require', () => {
  const nowhere = 'http://127.0.0.1:1/'
  expect(run('off', nowhere)).toEqual({ code: 0, said: 'it runs' })
  expect(run('try', nowhere)).toEqual({ code: 0, said: 'it runs' })
  expect(run('require', nowhere)).toEqual({ code: FENCED_EXIT_CODE, said: '' })
})
