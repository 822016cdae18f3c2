import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { InvalidError, SkyPilotError } from '../../skypilot/errors.ts'
import { Resources } from '../../skypilot/resources.ts'
import { Task, type TaskFields } from '../../skypilot/task.ts'
import { readYaml } from '../../skypilot/yaml-text.ts'

// What SkyPilot's own parser made of each task, and of our YAML of it: see test/support/record-tasks.py.
const FOLDER = new URL('../recordings/tasks/', import.meta.url)
const names = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.yaml'))
  .map((name) => name.replace('.yaml', ''))
const text = (name: string): string => readFileSync(new URL(name, FOLDER), 'utf8')

interface Recorded {
  normal: Record<string, unknown>
  written: string
}
interface Refused {
  yaml: string
  field: string
  skypilot: string
}

describe('the round trip with the parser of SkyPilot', () => {
  test('there are tasks of every kind', () => expect(names.length).toBeGreaterThan(50))

  test.each(names)('%s: we write what SkyPilot was seen to read as the same task', (name) => {
    const { written } = JSON.parse(text(`${name}.json`)) as Recorded
    expect(Task.fromYaml(text(`${name}.yaml`)).toYaml()).toBe(written)
  })

  test.each(names)('%s: writing and reading again changes nothing', (name) => {
    const { written } = JSON.parse(text(`${name}.json`)) as Recorded
    const task = Task.fromYaml(written)
    expect(task.toYaml()).toBe(written)
    expect(Task.fromYaml(written).toConfig()).toEqual(task.toConfig())
  })

  test.each(names)(
    '%s: the normal form of SkyPilot is a task for us too, and nothing of it is lost',
    (name) => {
      const { normal } = JSON.parse(text(`${name}.json`)) as Recorded
      const task = Task.fromYaml(JSON.stringify(normal))
      const kept = readYaml(task.toYaml())
      expect(kept).toEqual(withoutEmpty(normal))
    },
  )
})

/** Null fields, and mounts of nothing, are as good as absent. */
function withoutEmpty(normal: Record<string, unknown>): unknown {
  const { file_mounts: mounts, ...rest } = normal
  const isEmpty = Object.keys(mounts as object).length === 0
  return JSON.parse(JSON.stringify(isEmpty ? rest : normal))
}

describe('refusals', () => {
  const cases = (JSON.parse(text('invalid.json')) as Refused[]).map((each) => [each.yaml, each] as const)
  test.each(cases)('%j: SkyPilot refuses it, and we name the field', (yaml, { field, skypilot }) => {
    expect(skypilot).toMatch(/Error/)
    const error = caught(() => Task.fromYaml(yaml))
    expect(error).toBeInstanceOf(InvalidError)
    expect(String(error).replace('SkyPilotError: ', '').slice(0, field.length)).toBe(field)
  })

  test('a bucket without name and source, and one that a machine should hold, are refused here already', () => {
    expect(() => Task.fromYaml('file_mounts: {/a: {mode: MOUNT}}')).toThrow(
      /^file_mounts\.\/a: a bucket needs/,
    )
    expect(() => Task.fromYaml('file_mounts: {"s3://x": /a}')).toThrow(/^file_mounts\.s3:\/\/x: /)
    expect(() => Task.fromYaml('file_mounts: {/a/: /b}')).toThrow(/^file_mounts\.\/a\/: .* slash/)
  })

  test('a message repeats no secret', () => {
    const given = { secrets: { TOKEN: ['hunter2'] } } as unknown as TaskFields
    expect(() => new Task(given)).toThrow(/^secrets\.TOKEN: should be text or null, not a list$/)
    expect(() => Task.fromYaml('secrets: {"secrets:A": hunter2}')).toThrow(/^(?!.*hunter2)/)
  })

  test('is an error of this SDK, of a kind of its own', () => {
    const error = caught(() => new Resources({ cpus: 'many' }))
    expect(error).toBeInstanceOf(SkyPilotError)
    expect(error).toMatchObject({
      kind: 'invalid',
      message: 'resources.cpus: should be a positive number, or text such as "4" or "4+", not "many"',
    })
  })
})

describe('a task made in TypeScript', () => {
  test('has its fields in YAML under the names of SkyPilot', () => {
    const task = new Task({
      name: 'train',
      numNodes: 2,
      setup: ['pip install torch', 'true'],
      run: 'python train.py',
      envs: { LR: 0.1, FAST: true, NAME: 'x' },
      secrets: { TOKEN: 'abc', KEPT: null },
      workdir: { url: 'https://example.org/a.git', ref: 'main' },
      fileMounts: { '/data': '~/data' },
      storageMounts: { '/out': { name: 'bucket', mode: 'MOUNT' } },
      volumes: { '/v': 'volume' },
      resources: {
        infra: 'aws/us-east-1',
        accelerators: { H100: 8 },
        useSpot: true,
        jobRecovery: { strategy: 'FAILOVER', maxRestartsOnErrors: 2 },
        autostop: { idleMinutes: 10, down: true, waitFor: 'jobs' },
        volumes: [{ path: '/x', name: 'y', diskSize: 10 }],
        labels: { useSpot: 'a name of the user' },
        extra: { brand_new: 1 },
      },
      config: { hooks: [{ run: 'bye' }] },
      extra: { newer_field: [1] },
    })
    expect(readYaml(task.toYaml())).toEqual({
      name: 'train',
      num_nodes: 2,
      setup: 'pip install torch\ntrue',
      run: 'python train.py',
      envs: { LR: '0.1', FAST: 'true', NAME: 'x' },
      secrets: { TOKEN: 'abc', KEPT: null },
      workdir: { url: 'https://example.org/a.git', ref: 'main' },
      file_mounts: { '/data': '~/data', '/out': { name: 'bucket', mode: 'MOUNT' } },
      volumes: { '/v': 'volume' },
      resources: {
        infra: 'aws/us-east-1',
        accelerators: { H100: 8 },
        use_spot: true,
        job_recovery: { strategy: 'FAILOVER', max_restarts_on_errors: 2 },
        autostop: { idle_minutes: 10, down: true, wait_for: 'jobs' },
        volumes: [{ path: '/x', name: 'y', disk_size: 10 }],
        labels: { useSpot: 'a name of the user' },
        brand_new: 1,
      },
      config: { hooks: [{ run: 'bye' }] },
      newer_field: [1],
    })
  })

  test('and one that was read have the same fields', () => {
    const { fields, resources } = Task.fromYaml(
      'num_nodes: 2\nresources: {use_spot: true, cpus: 4.0}\nnew: 1',
    )
    expect({ ...fields, resources: resources.fields }).toEqual({
      numNodes: 2,
      resources: { useSpot: true, cpus: '4.0' },
      extra: { new: 1 },
    })
  })

  test('cannot be changed, but copied with changes', () => {
    const envs = { A: '1' }
    const task = new Task({ name: 'a', envs, resources: { cpus: 2, memory: 4 } })
    envs.A = '2'
    expect(() => Object.assign(task.fields, { name: 'b' })).toThrow(TypeError)
    const copy = task.copy({ name: undefined, resources: task.resources.copy({ cpus: '4+' }) })
    expect(task.toConfig()).toEqual({ name: 'a', envs: { A: '1' }, resources: { cpus: 2, memory: 4 } })
    expect(copy.toConfig()).toEqual({ envs: { A: '1' }, resources: { cpus: '4+', memory: 4 } })
  })
})

describe('a command per rank', () => {
  const shell = (script: string, rank: number): string =>
    execFileSync('bash', ['--norc', '-c', script], {
      encoding: 'utf8',
      env: {
        PATH: '/usr/bin:/bin',
        SKYPILOT_NODE_RANK: String(rank),
        SKYPILOT_NODE_IPS: '10.0.0.1\n10.0.0.2',
      },
    })

  test('runs on each node what its rank should run, with the addresses of all', () => {
    const task = new Task({
      numNodes: 2,
      run: (rank, ips) =>
        rank === 0
          ? `echo head of ${ips.length}\ncat <<EOF\nat "${ips[0]}"\nEOF`
          : `echo worker "${ips[rank]}" of ${ips[0]}`,
    })
    const script = (readYaml(task.toYaml()) as { run: string }).run
    expect(shell(script, 0)).toBe('head of 2\nat "10.0.0.1"\n')
    expect(shell(script, 1)).toBe('worker 10.0.0.2 of 10.0.0.1\n')
  })

  test('must give text', () => {
    const run = (() => undefined) as unknown as () => string
    expect(() => new Task({ run })).toThrow(/^run: should give text for rank 0/)
  })
})

describe('resources', () => {
  test('hold alternatives, which may be resources themselves', () => {
    const base = new Resources({ accelerators: 'A100:8' })
    const either = new Resources({ anyOf: [base, base.copy({ infra: 'gcp' })], useSpot: true })
    expect(either.toConfig()).toEqual({
      use_spot: true,
      any_of: [{ accelerators: 'A100:8' }, { accelerators: 'A100:8', infra: 'gcp' }],
    })
  })

  test('are of one place: naming it in one way takes the other away', () => {
    const placed = new Resources({ cloud: 'aws', region: 'us-east-1' })
    expect(placed.copy({ infra: 'gcp' }).fields).toEqual({ infra: 'gcp' })
    expect(new Resources({ infra: 'gcp' }).copy({ cloud: 'aws' }).fields).toEqual({ cloud: 'aws' })
    expect(() => new Resources({ infra: 'gcp', cloud: 'aws' })).toThrow(/^resources\.infra: /)
  })

  test('name the alternative in which a field is wrong', () => {
    expect(() => new Resources({ ordered: [{ cpus: 1 }, { ports: 0 }] })).toThrow(
      /^resources\.ordered\.1\.ports: /,
    )
  })

  test('cannot be changed from outside', () => {
    const labels = { a: 'b' }
    const resources = new Resources({ labels })
    labels.a = 'c'
    expect(resources.fields.labels).toEqual({ a: 'b' })
    expect(() => Object.assign(resources.fields.labels ?? {}, { a: 'c' })).toThrow(TypeError)
  })
})

function caught(work: () => unknown): unknown {
  try {
    return work()
  } catch (error) {
    return error
  }
}
