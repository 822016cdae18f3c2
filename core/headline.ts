import { whyUnwanted } from './decide.ts'
import {
  type Active,
  type Ended,
  endOfRun,
  type Experiment,
  isInDoubt,
  liveAttempt,
  type Verdict,
} from './experiment.ts'
import { isDrift, sequelOf } from './restart.ts'

type Test = (state: Experiment, isOverdue: boolean) => boolean

const active = (state: Experiment): Active | undefined => {
  const progress = liveAttempt(state)?.progress
  return progress?.phase === 'active' ? progress : undefined
}
const statusIs =
  (...words: readonly string[]): Test =>
  (state) =>
    words.some((word) => word === active(state)?.job.status)
const troubleIs =
  (...kinds: readonly string[]): Test =>
  ({ trouble }) =>
    trouble?.kind != null && kinds.some((kind) => trouble.kind === `SkyPilot.${kind}`)
const isUnwanted: Test = (state) => {
  const live = liveAttempt(state)
  return live !== null && whyUnwanted(state, live) !== undefined
}
/** Nothing runs any more, and the experiment's cluster is not yet what it should be. */
export const isWindingDown = ({ cluster, desired, deleted }: Experiment): boolean =>
  cluster !== null &&
  (deleted || desired.state === 'TERMINATED' || (desired.state === 'STOPPED' && cluster.status !== 'STOPPED'))

const ended = ({ attempt }: Experiment): Ended | undefined =>
  attempt?.progress.phase === 'ended' ? attempt.progress : undefined
const endedWith =
  (fits: (verdict: Verdict) => boolean): Test =>
  (state) => {
    const end = ended(state)
    return end !== undefined && liveAttempt(state) === null && fits(end.verdict)
  }
const wants =
  (state: Experiment['desired']['state']): Test =>
  ({ desired }) =>
    desired.state === state

const isCapacity = (text: string | null | undefined): boolean =>
  /no.?resource|resources?unavailable|unavailable|out of capacity|capacity|quota/i.test(text ?? '')

/**
 * Every reason that an experiment can have for being as it is, in the order of their precedence: the first that is
 * true is told. What a person must do something about comes before what passes by itself.
 */
const HEADLINES = [
  ['held', ({ hold, deleted }) => hold !== null && !deleted],
  ['two-jobs', ({ strays }) => strays.length > 0],
  ['not-authorised', troubleIs('unauthorized')],
  ['skypilot-unreachable', troubleIs('unreachable', 'timeout', 'protocol')],
  ['action-failing', ({ trouble }) => trouble?.kind != null],
  [
    'cannot-stop',
    ({ cluster, desired }) =>
      desired.state === 'STOPPED' && cluster?.refused?.verb === 'stop' && cluster.status !== 'STOPPED',
  ],
  ['overdue', (_, isOverdue) => isOverdue],
  ['deleting', ({ deleted }) => deleted],
  ['stopping', (state, isOverdue) => isUnwanted(state, isOverdue) || isWindingDown(state)],
  ['foreign-duplicate', ({ foreign }) => foreign.length > 0],
  ['finishing', (state) => active(state)?.verdict != null],
  [
    'launch-unsure',
    (state) => {
      const progress = liveAttempt(state)?.progress
      return progress?.phase === 'intended' && isInDoubt(progress)
    },
  ],
  ['queued', (state) => liveAttempt(state)?.progress.phase === 'intended'],
  ['launching', (state) => liveAttempt(state)?.progress.phase === 'requested'],
  [
    'no-capacity',
    (state) => statusIs('STARTING', 'PENDING')(state, false) && isCapacity(active(state)?.job.details),
  ],
  ['waiting-for-skypilot', statusIs('PENDING', 'SUBMITTED', 'INIT')],
  ['provisioning', statusIs('STARTING')],
  ['setup', statusIs('SETTING_UP')],
  ['recovering', statusIs('RECOVERING')],
  ['being-cancelled', statusIs('CANCELLING')],
  ['running', (state) => active(state) !== undefined],
  ['starting', (state) => wants('RUNNING')(state, false) && !state.closing && !endOfRun(state)],
  ['limit', (state) => wants('RUNNING')(state, false) && state.closing?.status === 'LIMIT'],
  ['adopted', (state) => wants('RUNNING')(state, false) && state.closing?.status === 'ADOPTED'],
  [
    'crash-loop',
    (state) => {
      const sequel = wants('RUNNING')(state, false) ? sequelOf(state) : undefined
      return sequel?.kind === 'restart' && sequel.isCrashLoop
    },
  ],
  ['backoff', (state) => wants('RUNNING')(state, false) && sequelOf(state)?.kind === 'restart'],
  ['terminated', wants('TERMINATED')],
  ['idle', ({ attempt, run }) => attempt === null && run === 0],
  ['stopped', ({ attempt }) => attempt === null],
  ['succeeded', endedWith(({ outcome }) => outcome === 'succeeded')],
  ['drift', (state) => wants('RUNNING')(state, false) && endedWith(isDrift)(state, false)],
  ['lost', endedWith(({ outcome }) => outcome === 'lost')],
  [
    'stopped',
    endedWith(
      ({ outcome, blame }) => outcome === 'cancelled' || (outcome === 'never-started' && blame === 'none'),
    ),
  ],
  [
    'no-capacity',
    endedWith(
      ({ status, reason }) => status === 'FAILED_NO_RESOURCE' || (status === 'REFUSED' && isCapacity(reason)),
    ),
  ],
  ['refused', endedWith(({ status }) => status === 'REFUSED')],
  ['setup-failed', endedWith(({ status }) => status === 'FAILED_SETUP')],
  ['code-failed', endedWith(({ blame }) => blame === 'code')],
  ['machines-failed', endedWith(() => true)],
] as const satisfies ReadonlyArray<readonly [string, Test]>

export type Headline = (typeof HEADLINES)[number][0]

/** The closed list, each word once. */
export const HEADLINE_WORDS: readonly Headline[] = [...new Set(HEADLINES.map(([word]) => word))]

/** The reason that is told. Total: what nothing else fits has not been started. */
export const headlineOf = (state: Experiment, isOverdue: boolean): Headline =>
  HEADLINES.find(([, test]) => test(state, isOverdue))?.[0] ?? 'idle'
