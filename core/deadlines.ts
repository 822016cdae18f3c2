import { BROKEN_MS } from './action.ts'
import { whyUnwanted } from './decide.ts'
import {
  type Active,
  type Attempt,
  type Cluster,
  type Experiment,
  isInDoubt,
  isOnCluster,
  liveAttempt,
  NEVER,
} from './experiment.ts'
import { isRunOver } from './restart.ts'

/** A state that should pass by itself, and what is to be done when it does not. */
export interface Transient {
  name: string
  sinceMs: number
  /** After this it has lasted longer than it should. */
  deadlineMs: number
  /** What happens next, or who can do what. */
  next: string
}

const MINUTE_MS = 60_000

/** The request of a managed job only writes it down; that of a cluster goes on until the machines are there. */
const JOB_LAUNCH_MINUTES = 15
const CLUSTER_LAUNCH_MINUTES = 60

/** How long each of SkyPilot's passing statuses may last before people are told that it is too long. */
const STATUS_LIMITS: Readonly<Record<string, readonly [minutes: number, next: string]>> = {
  INIT: [15, 'look at the log of the launch; stop and start again if it does not move'],
  PENDING: [30, 'SkyPilot starts it when there is room; stop others, or wait'],
  SUBMITTED: [30, 'SkyPilot starts it when there is room; stop others, or wait'],
  STARTING: [60, 'SkyPilot goes on looking for machines; another accelerator or cloud may be quicker'],
  SETTING_UP: [60, 'look at the output of the setup'],
  RECOVERING: [60, 'SkyPilot goes on looking for machines; stop it if you do not want to wait'],
  CANCELLING: [10, 'SkyDeck keeps asking; look at the machines yourself and then say that you checked'],
}

/** The passing state that an experiment is in, if it is in one. */
export function transientOf(state: Experiment): Transient | undefined {
  const live = liveAttempt(state)
  return (live ? ofProgress(live, whyUnwanted(state, live) !== undefined) : undefined) ?? ofCluster(state)
}

function ofProgress(attempt: Attempt, isUnwanted: boolean): Transient | undefined {
  const { progress } = attempt
  switch (progress.phase) {
    case 'intended':
      // Waiting for a turn is no fault, however long it takes; its place in the queue is shown.
      if (!isInDoubt(progress) && !(progress.unsure && isUnwanted)) return undefined
      return progress.refusal && progress.makingUntilMs !== undefined
        ? timed('launch', progress.makingUntilMs, 15, 'terminate it, or look at its machines yourself')
        : timed('launch', progress.settledAtMs, 15, 'SkyDeck keeps looking for what came of it')
    case 'requested':
      return timed(
        'launch request',
        progress.sinceMs,
        isOnCluster(attempt) ? CLUSTER_LAUNCH_MINUTES : JOB_LAUNCH_MINUTES,
        'look at the log of the launch, or stop it',
      )
    case 'active':
      return ofJob(progress)
    case 'ended':
      return undefined
  }
}

function ofJob({ job, verdict, cancel }: Active): Transient | undefined {
  if (verdict)
    return timed('clean-up', verdict.atMs, 30, 'SkyPilot may have left machines behind: look at its clusters')
  if (cancel) return timedStatus('CANCELLING', cancel.sinceMs)
  return job.seenAtMs === NEVER ? undefined : timedStatus(job.status, job.statusSinceMs)
}

function ofCluster(state: Experiment): Transient | undefined {
  const { cluster } = state
  if (!cluster) return undefined
  return cluster.asked && cluster.asked.verb !== 'start'
    ? ofAsked(cluster, cluster.asked)
    : ofBroken(state, cluster)
}

function ofAsked(
  { status }: Cluster,
  { verb, sinceMs }: NonNullable<Cluster['asked']>,
): Transient | undefined {
  if (verb === 'stop' && status === 'STOPPED') return undefined
  return timed(`cluster ${verb}`, sinceMs, 15, 'SkyDeck keeps asking; its machines may still be paid for')
}

/** Nobody can ask a cluster in the making for its jobs, and it does not stop itself. */
function ofBroken(state: Experiment, { name, status, statusSinceMs }: Cluster): Transient | undefined {
  if (status !== 'INIT') return undefined
  const { attempt } = state
  const hasJob = attempt?.clusterName === name && attempt.progress.phase === 'active'
  const next = hasJob
    ? 'its job cannot be seen, and its machines are paid for: look at the cluster, or stop it'
    : 'SkyDeck stops it'
  return hasJob || isRunOver(state)
    ? { name: 'cluster INIT', sinceMs: statusSinceMs, deadlineMs: statusSinceMs + BROKEN_MS, next }
    : undefined
}

function timedStatus(status: string, sinceMs: number): Transient | undefined {
  const limit = Object.hasOwn(STATUS_LIMITS, status) ? STATUS_LIMITS[status] : undefined
  return limit && timed(status, sinceMs, ...limit)
}

const timed = (name: string, sinceMs: number, minutes: number, next: string): Transient => ({
  name,
  sinceMs,
  deadlineMs: sinceMs + minutes * MINUTE_MS,
  next,
})
