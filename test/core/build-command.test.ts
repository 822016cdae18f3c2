import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { buildCommand } from '../../core/build-command.ts'
import { buildTask, jobName, parseJobName, taskYaml } from '../../core/build-task.ts'
import { quoteAll } from '../../core/shell.ts'
import type { Command, Spec } from '../../core/spec.ts'
import { parse } from 'yaml'

const spec = (over: Partial<Spec> = {}): Spec => ({
  executor: 'managed',
  command: { form: 'launcher', baseCommand: 'lt', toolPath: null, gitBranch: null },
  flags: {},
  nodes: 1,
  gpus: 0,
  accelerator: null,
  cloud: null,
  instanceType: null,
  spot: false,
  setup: null,
  envs: {},
  ...over,
})
const launcher = (over: Partial<Extract<Command, { form: 'launcher' }>> = {}): Command => ({
  form: 'launcher',
  baseCommand: 'lt',
  toolPath: null,
  gitBranch: null,
  ...over,
})

test.each<[string, string, Spec, string]>([
  ['everything default', 'exp.a', spec(), 'lt --gpus=0 --nodes=1 run=exp.a'],
  [
    'branch, tool and flags',
    'daveey.ca6.4x4.ppo_16layer',
    spec({
      command: launcher({ gitBranch: 'daveey-skydeck', toolPath: 'recipes.experiment.cog_arena.train' }),
      nodes: 4,
      gpus: 4,
      flags: {
        'trainer.losses.ppo.enabled': true,
        'policy_architecture.core_resnet_layers': 16,
        'trainer.optimizer.learning_rate': 0.0003,
      },
    }),
    'lt --gpus=4 --nodes=4 --git-ref=daveey-skydeck recipes.experiment.cog_arena.train run=daveey.ca6.4x4.ppo_16layer policy_architecture.core_resnet_layers=16 trainer.losses.ppo.enabled=true trainer.optimizer.learning_rate=0.0003',
  ],
  [
    'a dash is no branch; a blank is quoted',
    'b',
    spec({ command: launcher({ gitBranch: '-', toolPath: '' }), flags: { z: false, a: 'two words' } }),
    "lt --gpus=0 --nodes=1 run=b 'a=two words' z=false",
  ],
  [
    'numbers as Python prints them',
    'c',
    spec({ flags: { small: 1e-5, tiny: 0.00001234, big: 2e22, i: 50_000_000_000, neg: -3 } }),
    'lt --gpus=0 --nodes=1 run=c big=2e+22 i=50000000000 neg=-3 small=1e-05 tiny=1.234e-05',
  ],
  [
    'flags in code point order',
    'e',
    spec({ flags: { B: 1, a: 1, _c: 1, 'a.b': 1, 'a-b': 1, A: 1, a_b: 1 } }),
    'lt --gpus=0 --nodes=1 run=e A=1 B=1 _c=1 a=1 a-b=1 a.b=1 a_b=1',
  ],
  [
    'nothing in a value is code',
    'f',
    spec({ flags: { dollar: '$HOME', sub: '$(touch x) y' } }),
    "lt --gpus=0 --nodes=1 run=f 'dollar=$HOME' 'sub=$(touch x) y'",
  ],
])('launcher: %s', (_, name, given, line) => {
  expect(buildCommand(name, given).line).toBe(line)
})

const template = (text: string, flagStyle: 'key=value' | '--key value' | '--key=value' | 'environment') =>
  spec({ command: { form: 'template', template: text, flagStyle }, flags: { lr: 0.1, 'm.note': "it's" } })

test('template: each flag style', () => {
  const line = 'python train.py --name {name} {flags}'
  expect(buildCommand('n', template(line, 'key=value')).line).toBe(
    String.raw`python train.py --name n lr=0.1 'm.note=it'\''s'`,
  )
  expect(buildCommand('n', template(line, '--key=value')).line).toBe(
    String.raw`python train.py --name n --lr=0.1 '--m.note=it'\''s'`,
  )
  expect(buildCommand('n', template(line, '--key value')).line).toBe(
    String.raw`python train.py --name n --lr 0.1 --m.note 'it'\''s'`,
  )
  expect(buildCommand('n', template(line, 'environment'))).toEqual({
    line: 'python train.py --name n',
    envs: { LR: '0.1', M_NOTE: "it's" },
  })
})

test('any argument vector survives a real shell, byte for byte', () => {
  const word = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.constantFrom(...Array.from('\'"\\$`!*?[]{}()<>|&;~# \t\n=-')) }),
  )
  const vectors = fc.sample(
    fc.array(
      word.map((text) => text.replaceAll('\0', '').toWellFormed()),
      { minLength: 1, maxLength: 4 },
    ),
    {
      numRuns: 10_000,
      seed: 7,
    },
  )
  // One shell for all of them: 10,000 processes would test the machine, not the quoting.
  const script = vectors.map((argv) => `printf '%s\\0' ${quoteAll(argv)}; printf '\\001\\0'`).join('\n')
  const out = execFileSync('sh', ['-s'], { input: script, maxBuffer: 1 << 28 }).toString('utf8')
  expect(out).toBe(vectors.map((argv) => [...argv, '\u0001'].map((text) => `${text}\0`).join('')).join(''))
})

test('a job name carries the identity there and back', () => {
  const identity = { experimentId: 12, name: 'a-1.2.3', run: 3, attempt: 4 }
  expect(jobName(identity)).toBe('a-1.2.3-12.3.4')
  expect(parseJobName(jobName(identity))).toEqual(identity)
  expect(parseJobName('somebody-elses')).toBeUndefined()
  expect(parseJobName('x-0.1.1')).toBeUndefined()
})

test('the task reads back from YAML as it was built', () => {
  const identity = { experimentId: 1, name: 'n', run: 1, attempt: 1 }
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      const task = buildTask(identity, spec({ flags: { text: text.replaceAll('\0', '') }, setup: 'echo hi' }))
      expect(parse(taskYaml(task))).toEqual(task)
    }),
  )
})
