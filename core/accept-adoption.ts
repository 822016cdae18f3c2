import { adoptOnCluster } from './evolve-cluster.ts'
import { type Experiment, liveAttempt } from './experiment.ts'
import { unseen } from './job-view.ts'
import { replaceAttempt } from './progress.ts'
import { accepted, type Envelope, envelopeOf, type Receipt, refuse } from './receipt.ts'
import { isRecord } from './spec.ts'
import { turn } from './turn.ts'

/**
 * Takes a job or a cluster that belongs to nobody into this experiment: `{jobId, jobName}` for a managed job,
 * `{clusterName}` for a cluster, both for a job on a cluster. It counts as a run that was wanted.
 */
export function acceptAdoption(state: Experiment, value: unknown, atMs: number): [Experiment, Receipt] {
  const given = readAdoption(value)
  if (typeof given === 'string') return refuse(state, given)
  if (liveAttempt(state))
    return refuse(state, 'something of it runs already: stop it before it takes another job')
  if (given.clusterName !== null && state.cluster !== null && state.cluster.name !== given.clusterName)
    return refuse(state, `it has a cluster of its own, ${state.cluster.name}: terminate that first`)
  return accepted(
    given.jobId === null
      ? adoptCluster(state, given, envelopeOf(value), atMs)
      : adoptJob(state, given, envelopeOf(value), atMs),
  )
}

interface Adoption {
  jobId: number | null
  jobName: string
  clusterName: string | null
}

const isId = (value: unknown): boolean => value === null || (Number.isSafeInteger(value) && Number(value) > 0)
const isText = (value: unknown): value is string => typeof value === 'string' && value !== ''

function readAdoption(value: unknown): Adoption | string {
  if (!isRecord(value)) return 'an adoption must be {"jobId": 7, "jobName": "..."} or {"clusterName": "..."}'
  const { jobId = null, jobName = '', clusterName = null } = value
  if (!isId(jobId)) return 'jobId must be a positive whole number'
  if (clusterName !== null && !isText(clusterName)) return 'clusterName must be the name of a cluster'
  if (jobId === null)
    return clusterName === null ? 'name a jobId or a clusterName' : { jobId: null, jobName: '', clusterName }
  return isText(jobName)
    ? { jobId: Number(jobId), jobName, clusterName }
    : 'jobName must be the name of the job'
}

const begin = (state: Experiment, by: Envelope, atMs: number, text: string): Experiment =>
  turn(state, 'RUNNING', by, atMs, { kind: 'adopted', text })

function adoptJob(state: Experiment, given: Adoption, by: Envelope, atMs: number): Experiment {
  const { jobId, jobName, clusterName } = given
  const begun = begin(state, by, atMs, `adopted job ${jobId} (${jobName})`)
  const taken = replaceAttempt(begun, {
    run: begun.run,
    attempt: 1,
    jobName,
    clusterName,
    specRevision: state.specRevision,
    command: '',
    createdAtMs: atMs,
    isAdopted: true,
    progress: { phase: 'active', jobId: jobId ?? 0, job: unseen(atMs), cancel: null, verdict: null },
  })
  const foreign = taken.foreign.filter((job) => job.jobId !== jobId)
  return clusterName === null
    ? { ...taken, foreign }
    : keep(adoptOnCluster({ ...taken, foreign }, clusterName, atMs))
}

/** It was not made for this experiment: whatever else is on it is none of ours. */
const keep = (state: Experiment): Experiment =>
  state.cluster ? { ...state, cluster: { ...state.cluster, isAdopted: true } } : state

/** The cluster is kept as it is, and nothing is launched on it until somebody starts a run. */
function adoptCluster(state: Experiment, { clusterName }: Adoption, by: Envelope, atMs: number): Experiment {
  const begun = begin(state, by, atMs, `adopted cluster ${clusterName}`)
  const reason = `cluster ${clusterName} was adopted; nothing was launched on it`
  const taken = keep(adoptOnCluster({ ...begun, cluster: null }, clusterName ?? '', atMs))
  return { ...taken, closing: { status: 'ADOPTED', reason, atMs } }
}
