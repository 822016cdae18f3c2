import { buildCommand } from './build-command.ts'
import type { Spec } from './spec.ts'

/** Who an attempt is, before and after it exists anywhere. */
export interface AttemptIdentity {
  experimentId: number
  name: string
  run: number
  attempt: number
}

/** The SkyPilot job name of an attempt: `n-i.g.a`. It is how a job is found again after any crash. */
export const jobName = ({ name, experimentId, run, attempt }: AttemptIdentity): string =>
  `${name}-${experimentId}.${run}.${attempt}`

/** Reads a job name back, or says that it is none of ours. The name may have changed since; the numbers never do. */
export function parseJobName(text: string): AttemptIdentity | undefined {
  const match = /^(.+)-([1-9]\d{0,14})\.([1-9]\d{0,8})\.([1-9]\d{0,8})$/.exec(text)
  if (!match) return undefined
  const [, name = '', experimentId, run, attempt] = match
  return { name, experimentId: Number(experimentId), run: Number(run), attempt: Number(attempt) }
}

/** Reads the name of an experiment's own cluster back, `n-i`. Anybody may have a cluster with such a name. */
export function parseClusterName(text: string): { name: string; experimentId: number } | undefined {
  const match = /^(.+)-([1-9]\d{0,14})$/.exec(text)
  return match ? { name: match[1] ?? '', experimentId: Number(match[2]) } : undefined
}

/** A SkyPilot task, as far as SkyDeck fills it in. */
export interface Task {
  name: string
  num_nodes: number
  resources: Record<string, string | boolean>
  envs: Record<string, string>
  setup?: string
  run: string
}

/** Builds the task that is submitted for an attempt. Pure: the page shows the same value. */
export function buildTask(identity: AttemptIdentity, spec: Spec): Task {
  const { line, envs } = buildCommand(identity.name, spec)
  const resources: Task['resources'] = {}
  if (spec.gpus > 0) resources['accelerators'] = `${spec.accelerator ?? 'GPU'}:${spec.gpus}`
  if (spec.cloud) resources['infra'] = spec.cloud
  if (spec.instanceType) resources['instance_type'] = spec.instanceType
  if (spec.spot) resources['use_spot'] = true
  return {
    name: jobName(identity),
    num_nodes: spec.nodes,
    resources,
    envs: {
      ...envs,
      SKYDECK_EXPERIMENT_ID: String(identity.experimentId),
      SKYDECK_RUN: String(identity.run),
      SKYDECK_ATTEMPT: String(identity.attempt),
      SKYDECK_RUN_NAME: identity.name,
    },
    ...(spec.setup ? { setup: spec.setup } : {}),
    run: line,
  }
}

/**
 * Writes a task as YAML. JSON is YAML, and in it nothing depends on indentation or on what a bare word means
 * (`no`, `1:30`); the characters that YAML refuses and JSON leaves bare are escaped.
 */
export const taskYaml = (task: Task): string =>
  JSON.stringify(task, null, 2).replaceAll(
    /[\u007f-\u0084\u0086-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
