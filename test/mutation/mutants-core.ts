import { type Mutant, mutantsOf } from './mutant.ts'

const alone = 'test/core/protections.test.ts'
const jobs = mutantsOf('core/evolve-job.ts', 'test/core/job.test.ts')
const secondJobs = mutantsOf('core/evolve-stray.ts', 'test/core/job.test.ts')
const jobsAlone = mutantsOf('core/evolve-job.ts', alone)
const decision = mutantsOf('core/decide.ts', 'test/core/launch.test.ts')
const launches = mutantsOf('core/evolve-launch.ts', 'test/core/launch.test.ts')
const FAILED = 'test/core/failed-launch.test.ts'
const clusters = mutantsOf('core/evolve-cluster.ts', 'test/core/cluster.test.ts')
const clustersAlone = mutantsOf('core/evolve-cluster.ts', alone)

/** What is decided and believed about launches and second jobs. */
export const LAUNCH_MUTANTS: readonly Mutant[] = [
  mutantsOf('core/decide.ts', 'test/core/job.test.ts')(
    'no launch beside a second job',
    'if (blocked) return blocked',
    '',
    'row 14: a second job stays in the books until its end is seen, and nothing is launched beside it',
  ),
  mutantsOf('core/decide.ts', alone)(
    'no launch beside a second job',
    'whileSecondJob(state) ?? submission',
    'submission',
    'a launch that waits for its turn waits for the end of a second job too',
  ),
  mutantsOf('core/decide.ts', 'test/core/wishes.test.ts')(
    'no launch beside a second job',
    `(rest.kind === 'finish' ? whileSecondJob(state) : undefined)`,
    'undefined',
    'nothing ends while a second job may live',
  ),
  secondJobs(
    'no launch beside a second job',
    'isOver = false): Experiment {',
    'isOver = true): Experiment {',
    'a second job stays in the books until a look shows its end, however often it was asked and refused',
  ),
  jobs(
    'no launch beside a second job',
    '!isBefore(identity, attempt) && ',
    '',
    'an attempt that is past is never taken up again: its live job is one too many',
  ),
  secondJobs(
    'of two jobs of one attempt the same is kept',
    'isOursToGo ? ours : other',
    'other',
    'of two live jobs of one attempt the older is kept, whichever was known first',
  ),
  secondJobs(
    'of two jobs of one attempt the same is kept',
    'isTwin && active.verdict === null &&',
    'isTwin &&',
    'beside a job that has its verdict every other of the attempt is one too many, the older too',
  ),
  secondJobs(
    'of two jobs of one attempt the same is kept',
    'isOneRunning ? isRunning(seen) : seen.jobId < jobId',
    'seen.jobId < jobId',
    'row 47: of two jobs of one attempt the one that runs is kept, also where it is the younger',
  ),
  jobs(
    'of two jobs of one attempt the same is kept',
    'news?.status === FENCED ?',
    'false ?',
    'row 47: of two jobs that both run behind the fence none is cancelled until one had time to leave, and the other is kept',
  ),
  mutantsOf('core/evolve-launch.ts', alone)(
    'an attempt keeps its identity',
    '|| liveAttempt(state)) return state',
    ') return state',
    'an attempt that is live keeps its identity, whatever is intended',
  ),
  decision(
    'a forgotten launch has time to show itself',
    'if (progress.unsure && nowMs < progress.settledAtMs)',
    'if (false)',
    'row 47: a launch that SkyPilot forgot is looked for until the processes of a killed server had time to show theirs',
  ),
  launches(
    'a forgotten launch has time to show itself',
    'isForgotten ? atMs + FORGOTTEN_SETTLE_MS : atMs',
    'atMs',
    'row 47: a launch that SkyPilot forgot is looked for until the processes of a killed server had time to show theirs',
  ),
  launches(
    'a forgotten launch has time to show itself',
    `{ kind: 'launchUnsure', reason, isForgotten, atMs }`,
    `{ kind: 'launchUnsure', reason, atMs }`,
    'row 47: an abort of a launch that SkyPilot does not know any more is no end of it',
  ),
  launches(
    'a cluster in the making is a sign',
    'Math.max(progress.settledAtMs, atMs + FORGOTTEN_SETTLE_MS)',
    'progress.settledAtMs',
    'row 47: while its cluster is being made nothing is launched again, and not for ever',
  ),
  launches(
    'a cluster in the making is a sign',
    'progress.makingUntilMs ?? atMs + MAKING_MAX_MS',
    'atMs + MAKING_MAX_MS',
    'row 47: while its cluster is being made nothing is launched again, and not for ever',
  ),
  launches(
    'absence counts after two complete looks',
    'looksEmpty >= LOOKS_EMPTY_MIN',
    'looksEmpty >= 1',
    'row 10: an unwanted launch counts as never made only after two looks with a pause between',
  ),
  launches(
    'the settle pause',
    'isSettled ? SETTLE_MS : LOOK_AGAIN_MS',
    '0',
    'row 10: an unwanted launch counts as never made only after two looks with a pause between',
  ),
  decision(
    'a stop during a launch aborts it',
    `{ kind: 'abort', requestId,`,
    `{ kind: 'follow', requestId,`,
    'row 15: aborts a launch when STOPPED is wanted',
  ),
  decision(
    'a stop during a launch aborts it',
    `return { kind: 'look', why: \`\${unwanted}; making`,
    `return { kind: 'finish', why: \`\${unwanted}; making`,
    'row 15: looks, and does not launch, when stopped with a launch unsure',
  ),
  mutantsOf('core/restart.ts', alone)(
    'what nobody saw end is not begun again',
    `outcome === 'lost' ||`,
    '',
    'what nobody saw end is not begun again, not even where every end is followed by another run',
  ),
]

/** What is believed of jobs and clusters, and of the messages about them. */
export const BELIEF_MUTANTS: readonly Mutant[] = [
  mutantsOf('core/evolve-job.ts', 'test/core/properties.test.ts')(
    'an older look changes nothing',
    'if (seen.seenAtMs < active.job.seenAtMs) return state',
    '',
    'P5: a look that is older than what was seen changes nothing about the job',
  ),
  jobs(
    'an older look changes nothing',
    '&& atMs < attempt.progress.job.seenAtMs',
    '&& false',
    'row 24: that a job vanished is not believed of a look that is older than one that showed it',
  ),
  clustersAlone(
    'an older look changes nothing',
    '|| seen.seenAtMs < cluster.seenAtMs',
    '',
    'a look at the cluster that is older than the last one changes nothing',
  ),
  clustersAlone(
    'an older look changes nothing',
    'seenAtMs <= Math.max(cluster.seenAtMs, cluster.existsSinceMs)',
    'false',
    'a look at the cluster that is older than the last one changes nothing',
  ),
  clustersAlone(
    'an older look changes nothing',
    'seen.seenAtMs <= (state.cluster?.existsSinceMs ?? NEVER)',
    'false',
    'a cluster that has stopped before the job was known to exist says nothing of the job',
  ),
  clusters(
    'absence counts after two complete looks',
    'looksAbsent < LOOKS_EMPTY_MIN ?',
    'looksAbsent < 1 ?',
    'row 25: one look without the cluster, or two far from each other, are no end of it',
  ),
  clusters(
    'absence counts after two complete looks',
    'isInRow ? cluster.looksAbsent + 1 : 1',
    'cluster.looksAbsent + 1',
    'row 25: one look without the cluster, or two far from each other, are no end of it',
  ),
  clustersAlone(
    'absence counts after two complete looks',
    `if (isLaunching && cluster.asked?.verb !== 'down') return state`,
    '',
    'absence means nothing while a launch makes the cluster',
  ),
  mutantsOf('core/decide-cluster.ts', 'test/core/cluster.test.ts')(
    'a cluster is gone only after down and two looks',
    `return { kind: 'cluster', verb: 'down', name, why: \`\${because}; taking`,
    `return { kind: 'lookAtCluster', name, why: \`\${because}; taking`,
    'TERMINATED takes the cluster down with its job, and is reached after two looks that do not show it',
  ),
  mutantsOf('core/decide-cluster.ts', 'test/core/cluster.test.ts')(
    'no machine is left that cannot stop itself',
    'isLeftBroken(state, cluster, nowMs) ? clearing(cluster, nowMs) :',
    '',
    'a cluster that a launch left half made is taken down when the run is over, although RUNNING is wanted',
  ),
  mutantsOf('core/decide-cluster.ts', 'test/core/cluster.test.ts')(
    'no machine is left that cannot stop itself',
    'return isHalfMade || nowMs >= statusSinceMs + BROKEN_MS',
    'return isHalfMade',
    'a cluster that broke after its job is told of, and stopped when it does not come back',
  ),
  mutantsOf('core/restart.ts', 'test/core/launch.test.ts')(
    'RUNNING while a run ends is a new run',
    '|| isRunEnding(state)',
    '',
    'row 17: RUNNING is a new run also while the last one is cleaned up, closed or cancelled by somebody',
  ),
  jobs(
    'the first verdict is kept',
    'active.verdict ?? (news && closed(state, attempt, news))',
    '(news && closed(state, attempt, news)) ?? active.verdict',
    'the first verdict is kept: a late FAILED_CONTROLLER does not turn success into failure',
  ),
  mutantsOf('core/progress.ts', alone)(
    'the first verdict is kept',
    'active?.verdict ?? closed(state, attempt, given)',
    'closed(state, attempt, given)',
    'a job that vanishes during its clean-up keeps the verdict that it has',
  ),
  jobsAlone(
    'the first verdict is kept',
    'endingOf(verdict.status) || seen.seenAtMs',
    'seen.seenAtMs',
    'an end that SkyPilot told is never taken back',
  ),
  jobs(
    'a job is over when it is cleaned up',
    'isCleanedUp(seen.scheduleState)',
    'true',
    'a job that has its verdict waits for its clean-up, and no limit ends it meanwhile',
  ),
  jobs(
    'only what is ours is ended',
    'if (!carriesOurName(state, identity.name, seen))',
    'if (false)',
    'a job of another desk whose experiment has the same number is told of, and never touched',
  ),
  jobsAlone(
    'only what is ours is ended',
    'if (identity.experimentId !== state.id) return state',
    '',
    'a look at a job of another experiment changes nothing',
  ),
  mutantsOf('core/evolve-job.ts', 'test/core/launch.test.ts')(
    'only what is ours is ended',
    `return isFree && desired.state === 'RUNNING'`,
    `return desired.state === 'RUNNING'`,
    'row 18: a job of somebody else under our name is adopted where none is live, and only told of where one is',
  ),
  mutantsOf('core/evolve-job.ts', 'test/core/launch.test.ts')(
    'only what is ours is ended',
    '&& !isRunOver(state)',
    '',
    'row 18: a job of somebody else is not taken into a run that is over, and no limit ends one that was taken',
  ),
  mutantsOf('core/limits.ts', 'test/core/launch.test.ts')(
    'only what is ours is ended',
    'isAdopted === true ||',
    '',
    'row 18: a job of somebody else is not taken into a run that is over, and no limit ends one that was taken',
  ),
  mutantsOf('core/decide-cluster.ts', 'test/core/cluster.test.ts')(
    'only what is ours is ended',
    '&&\n  !isAdopted',
    '',
    'a cluster is not left while a job is on it, nor an adopted one',
  ),
  mutantsOf('core/evolve.ts', 'test/core/job.test.ts')(
    'a failure is counted for its own job',
    'strayNotCancelled(state, job, atMs)',
    'strayNotCancelled(state, state.strays[0] ?? job, atMs)',
    'a cancel that fails is counted for the job that was to end, and for no other',
  ),
  mutantsOf('core/job-status.ts', 'test/core/job.test.ts')(
    'an unknown status is a live job',
    '? ENDINGS[status] : undefined',
    `? ENDINGS[status] : ['PENDING', 'STARTING', 'RUNNING'].includes(status) ? undefined : ENDINGS['FAILED']`,
    'row 26: a healthy job is left alone, and one with an unknown status too',
  ),
  launches(
    'a second look when unsure',
    'emptyAtMs === undefined ||',
    'true ||',
    'row 16: a look that a new wish brought about right after another is no second look',
  ),
  mutantsOf('core/decide.ts', FAILED)(
    'a launch that failed may have launched',
    'if (progress.refusal)',
    'if (false)',
    'where nobody can look for long its machines are stopped, and only then it is over; it is never launched again',
  ),
  mutantsOf('core/evolve-launch.ts', FAILED)(
    'a launch that failed may have launched',
    'if (progress.refusal) return end(',
    'if (false) return end(',
    'where two looks show that nothing came of it, it ends with what SkyPilot said',
  ),
  mutantsOf('core/evolve-launch.ts', FAILED)(
    'a launch that failed may have launched',
    'if (progress.refusal) return lookedUnseen(',
    'if (false) return lookedUnseen(',
    'a newer run does not begin beside it: what nobody can see is stopped first',
  ),
  mutantsOf('core/evolve-cluster.ts', FAILED)(
    'only what is ours is ended',
    'return isWanted ?',
    'return false ?',
    'a job that shows itself while its machines are being stopped unseen fell to us, not to its owner',
  ),
  mutantsOf('core/evolve-launch.ts', FAILED)(
    'a launch that failed may have launched',
    'untilMs + awayMs',
    'untilMs',
    'time in which nobody could look does not count',
  ),
  mutantsOf('core/decide-cluster.ts', FAILED)(
    'only what is ours is ended',
    `(cluster.isAdopted && desired.state === 'RUNNING')`,
    'false',
    'an adopted cluster may have jobs of others: it is stopped only where STOPPED is wanted',
  ),
  mutantsOf('core/decide.ts', FAILED)(
    'a launch that failed may have launched',
    'nowMs - unseenAtMs < UNSEEN_MS',
    'true',
    'machines are stopped unseen only right after a look that showed nothing',
  ),
  mutantsOf('core/decide-cluster.ts', 'test/core/autostop.test.ts')(
    'no machine is left that cannot stop itself',
    'if (!trouble && autostopAsked',
    'if (autostopAsked',
    'a failure to set its autostop says nothing of the cloud, and hides nothing that SkyPilot does to it later',
  ),
  mutantsOf('core/evolve.ts', 'test/core/cluster.test.ts')(
    'no machine is left that cannot stop itself',
    'one?.clusterName != null ||',
    '',
    'a cluster that lets no cancel through is stopped, whichever of its jobs the cancels were for',
  ),
  mutantsOf('core/explain.ts', 'test/core/job.test.ts')(
    'no launch beside a second job',
    'state.hold ? null : nextStrayMs(state)',
    'null',
    'a second job is asked for again also while a launch is followed',
  ),
  jobs(
    'the fence',
    'fencedOff(verdict) : verdict',
    'verdict : verdict',
    'a job that left at the fence is no verdict on the code, is not followed by another, and gives way to the one that runs',
  ),
]

const fence = mutantsOf('core/fence.ts', 'test/core/fence.test.ts')

/** The lines before a job's command. */
export const FENCE_MUTANTS: readonly Mutant[] = [
  fence(
    'the fence',
    '"$__skydeck_answer" = 409',
    '"$__skydeck_answer" = 418',
    'under try the first job runs, again too, and a second one leaves before its command',
  ),
  fence(
    'the fence',
    '"$SKYDECK_FENCE" = require',
    '"$SKYDECK_FENCE" = never',
    'a desk that cannot be reached lets the job run under try, and not under require',
  ),
  fence(
    'the fence',
    'as e: print(e.code)',
    'as e: print(0)',
    'where there is no curl it is asked all the same',
  ),
  fence(
    'the fence',
    '`${PREAMBLE}\\n${task.run}`',
    'task.run',
    'under require the first job runs, again too, and a second one leaves before its command',
  ),
]
