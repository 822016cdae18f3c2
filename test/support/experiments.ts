import { accept, type Wish } from '../../core/accept.ts'
import { parseJobName } from '../../core/build-task.ts'
import { evolve } from '../../core/evolve.ts'
import { born, type Experiment } from '../../core/experiment.ts'
import type { ClusterObservation, Fact, Observation } from '../../core/facts.ts'
import { DEFAULT_POLICY, type Policy, type RestartPolicy } from '../../core/policy.ts'
import type { Executor, Spec } from '../../core/spec.ts'

/** The time at which the stories of the tests begin. */
export const T = 1_000_000_000

export const specWith = (over: Partial<Spec> = {}): Spec => ({
  executor: 'managed',
  command: { form: 'template', template: 'echo {flags}', flagStyle: 'key=value' },
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

export const policyWith = (over: Partial<Policy> = {}, restart: Partial<RestartPolicy> = {}): Policy => ({
  ...DEFAULT_POLICY,
  ...over,
  restart: { ...DEFAULT_POLICY.restart, ...restart },
})

/** Experiment 1, named exp, that nobody has wished anything of. */
export const fresh = (executor: Executor = 'managed', policy: Policy = DEFAULT_POLICY): Experiment =>
  born({ id: 1, name: 'exp', actor: 'ann', atMs: T, spec: specWith({ executor }), policy })

export const wish = (state: Experiment, kind: Wish['kind'], value: unknown = {}, atMs = T): Experiment =>
  accept(state, { kind, value }, atMs)[0]

export const want = (state: Experiment, value: unknown, atMs = T): Experiment =>
  wish(state, 'setDesiredState', value, atMs)

export const after = (state: Experiment, ...facts: Fact[]): Experiment => facts.reduce(evolve, state)

export const observationOf = (
  jobId: number,
  status: string,
  over: Partial<Observation> = {},
): Observation => ({
  jobId,
  jobName: 'exp-1.1.1',
  clusterName: null,
  status,
  scheduleState: 'ALIVE',
  details: null,
  failureReason: null,
  submittedAtMs: T,
  startedAtMs: null,
  endedAtMs: null,
  recoveries: 0,
  seenAtMs: T,
  ...over,
})

/** A look that shows a job under one of the experiment's own names. */
export function seen(jobId: number, status: string, over: Partial<Observation> = {}): Fact {
  const observation = observationOf(jobId, status, over)
  const identity = parseJobName(observation.jobName)
  if (!identity) throw new Error('the observation needs one of our names')
  return { kind: 'observed', identity, observation }
}

/** A look that shows a job of somebody else under the experiment's bare name. */
export const foreign = (jobId: number, status: string, over: Partial<Observation> = {}): Fact => ({
  kind: 'foreignSeen',
  observation: observationOf(jobId, status, { jobName: 'exp', ...over }),
})

export const clusterSeen = (status: string, over: Partial<ClusterObservation> = {}): Fact => ({
  kind: 'clusterSeen',
  cluster: {
    name: 'exp-1',
    status,
    reason: null,
    launchedAtMs: T,
    autostopMinutes: null,
    seenAtMs: T + 1,
    ...over,
  },
})

export const intended: Fact = { kind: 'launchIntended', atMs: T }
export const requested: Fact = { kind: 'launchRequested', requestId: 'r', atMs: T }
export const refusedAt = (exceptionName: string, atMs = T): Fact => ({
  kind: 'launchRefused',
  reason: 'no',
  exceptionName,
  atMs,
})
export const found = (jobId = 7, atMs = T): Fact => ({ kind: 'jobFound', jobId, atMs })

/** RUNNING is wanted, and job 7 of the first attempt exists. */
export const launched = (executor: Executor = 'managed', policy: Policy = DEFAULT_POLICY): Experiment =>
  after(want(fresh(executor, policy), 'RUNNING'), intended, requested, found())

/** The same with a job on the experiment's own cluster, which is up and has its autostop. */
export const onCluster = (policy: Policy = DEFAULT_POLICY): Experiment =>
  after(
    launched('cluster', policy),
    clusterSeen('UP'),
    { kind: 'autostopAsked', name: 'exp-1', minutes: policy.autostopMinutes, refusal: null, atMs: T },
    seen(7, 'RUNNING', { clusterName: 'exp-1', scheduleState: null, seenAtMs: T + 1 }),
  )

/** It ran, and ended with this status. */
export const ended = (
  status: string,
  failureReason: string | null = null,
  policy: Policy = DEFAULT_POLICY,
): Experiment =>
  after(
    launched('managed', policy),
    seen(7, 'RUNNING'),
    seen(7, status, { scheduleState: 'DONE', failureReason, seenAtMs: T + 1_000 }),
  )
