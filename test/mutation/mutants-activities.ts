import { type Mutant, mutantsOf } from './mutant.ts'

const launch = mutantsOf('activities/launch.ts', 'test/activities/launch.test.ts')
const find = mutantsOf('activities/find-launch.ts', 'test/activities/launch.test.ts')
const ASKING = 'test/activities/asking.test.ts'
const asking = mutantsOf('activities/asking.ts', ASKING)
const MAKING = 'test/activities/making.test.ts'
const making = mutantsOf('activities/find-launch.ts', MAKING)
const gate = mutantsOf('activities/launch-gate.ts', 'test/activities/launch-gate.test.ts')
const cancel = mutantsOf('activities/cancel.ts', 'test/activities/cancel.test.ts')
const statuses = mutantsOf('skypilot/statuses.ts', 'test/activities/cancel.test.ts')
const cluster = mutantsOf('activities/cluster.ts', 'test/activities/cluster.test.ts')
const look = mutantsOf('activities/look.ts', 'test/activities/look.test.ts')
const jobsView = mutantsOf('activities/jobs-view.ts', 'test/activities/jobs-view.test.ts')
const clustersView = mutantsOf('activities/clusters-view.ts', 'test/activities/clusters-view.test.ts')
const errors = mutantsOf('activities/with-skypilot.ts', 'test/activities/with-skypilot.test.ts')

/** What calls SkyPilot. */
export const ACTIVITY_MUTANTS: readonly Mutant[] = [
  launch(
    'look before a launch',
    'if (isSign(before)) return before',
    '',
    'a job that has its name is taken up, and no other is made',
  ),
  find(
    'look before a launch',
    `each.name === 'sky.jobs.launch' &&`,
    'false &&',
    'a request for it that is under way is taken up, and no other is sent',
  ),
  find(
    'look before a launch',
    `(each.name === 'sky.launch' || each.name === 'sky.exec') &&`,
    'false &&',
    'what is on its way to its cluster, or there already, is taken up',
  ),
  find(
    'look before a launch',
    '.toSorted((a, b) => a.jobId - b.jobId)',
    '',
    'what is on its way to its cluster, or there already, is taken up',
  ),
  launch(
    'a second look when unsure',
    'order.unsureBefore ||',
    '',
    'is looked for twice, with a pause in which it can show itself',
  ),
  launch(
    'a second look when unsure',
    '|| activityInfo().attempt > 1',
    '',
    'is looked for twice when Temporal tries again, too',
  ),
  launch(
    'a second look when unsure',
    'if (isSign(again)) return again',
    '',
    'is looked for twice, with a pause in which it can show itself',
  ),
  making(
    'a cluster in the making is a sign',
    `cluster.status === 'UP' ? inQueue(name, cluster.name) : MAKING`,
    'inQueue(name, cluster.name)',
    'a cluster that is being made, by whom nobody knows, is a sign of it',
  ),
  making(
    'a cluster in the making is a sign',
    `if (saysNotUp(error)) return MAKING`,
    `if (saysNotUp(error)) return { kind: 'empty' }`,
    'a cluster that is up and not yet ready for jobs is a sign of it',
  ),
  making(
    'a cluster in the making is a sign',
    '&& isWrittenAnew(seen, asked)',
    '',
    'a cluster that is being made, by whom nobody knows, is a sign of it',
  ),
  mutantsOf('activities/launch.ts', MAKING)(
    'a cluster in the making is a sign',
    `order.waitsForMaking && (isRepetition || found.byRequest)`,
    'false',
    'is not made again while its cluster is being made, for as long as that is waited for',
  ),
  launch(
    'the settle pause',
    'await sleep(SETTLE_MS)',
    '',
    'is looked for twice, with a pause in which it can show itself',
  ),
  find(
    'an incomplete listing concludes nothing',
    "mustBeWhole(unreadable, 'jobs of the queue')",
    '',
    'a queue that cannot be read in full proves nothing, and nothing is launched',
  ),
  asking(
    'an incomplete listing concludes nothing',
    "if (!cluster) mustBeWhole(unreadable, 'clusters')",
    '',
    'that a cluster is gone, or that nothing was launched on it',
  ),
  mutantsOf('activities/orphans.ts', ASKING)(
    'an incomplete listing concludes nothing',
    "mustBeWhole(unreadable, 'jobs of the queue')",
    '',
    'that a job of nobody is gone',
  ),
  launch(
    'the fence',
    'fenced(task, fenceOf(identity))',
    'task',
    'the first that a job does is to ask at the fence',
  ),
  launch(
    'a 404 on a request proves nothing',
    `case 'not-found':`,
    `case 'not-found': return { kind: 'refused', reason: error.message, exceptionName: null }`,
    'and that SkyPilot does not know any more may be worked on: that proves nothing',
  ),
  launch(
    'a 404 on a request proves nothing',
    `reason: 'SkyPilot forgot the launch request', isForgotten: true`,
    `reason: 'SkyPilot forgot the launch request', isForgotten: false`,
    'and that SkyPilot does not know any more may be worked on: that proves nothing',
  ),
  launch(
    'a stop during a launch aborts it',
    'skypilot.requests.cancel([requestId], signal())',
    'Promise.resolve()',
    'and is aborted makes no job',
  ),
  mutantsOf('activities/launch.ts', 'test/activities/follow.test.ts')(
    'a launch that failed may have launched',
    'doubted(launch, answer)',
    'answer',
    'a launch on a cluster that failed may have launched: it is looked for before that is believed',
  ),
  mutantsOf('activities/launch.ts', 'test/activities/follow.test.ts')(
    'a launch that failed may have launched',
    "return { kind: 'making', byRequest: false }",
    "return { kind: 'empty' }",
    'that SkyPilot answers and cannot look shows nothing of a launch that failed, and is no answer about any other',
  ),
  mutantsOf('activities/look.ts', 'test/activities/look-halves.test.ts')(
    'no time is told that nobody knows',
    `status !== 'STOPPED').map`,
    `status !== '').map`,
    'what was waited for on a cluster that was stopped is not missed when it is started again',
  ),
  making(
    'a launch that failed may have launched',
    'isUnfinished(foundNow) && isNew &&',
    'isUnfinished(foundNow) &&',
    'a cluster that was ready for jobs before and broke may hold the job, whoever is at work on it',
  ),
  gate(
    'a stop during a launch aborts it',
    'Promise.race([before, Context.current().cancelled])',
    'before',
    'one that waits in the line behind another leaves it the moment that it is not wanted',
  ),
  gate(
    'no more launches than SkyPilot has room for',
    'length < inFlightMax',
    'length < Infinity',
    'launches wait while SkyPilot has its hands full, and go one after the other',
  ),
  errors(
    'that something could not be found out is no answer',
    `nonRetryable: error.kind === 'rejected' || error.kind === 'invalid'`,
    'nonRetryable: true',
    'unreachable is final: false',
  ),
  mutantsOf('activities/cluster.ts', ASKING)(
    'only what the cloud cannot do is given up',
    'error instanceof SkyPilotError && saysNotSupported(error)',
    'error instanceof SkyPilotError',
    'is refused for good only where the cloud cannot do it; all else is tried again',
  ),
  mutantsOf('activities/cancel.ts', ASKING)(
    'absence counts after two complete looks',
    "return (await standOf(skypilot, job)) !== 'live'",
    'return true',
    'is over when two looks do not show it, and not when the second does',
  ),
  cancel(
    'cancel by id, never by name',
    'skypilot.jobs.cancel({ jobIds, ...signal() })',
    'skypilot.jobs.cancel({ all: true, ...signal() })',
    'by its id: another of the same name is left alone',
  ),
  cancel(
    'cancel by id, never by name',
    'skypilot.clusters.cancel({ name: clusterName, jobIds, ...signal() })',
    'skypilot.clusters.cancel({ name: clusterName, all: true, ...signal() })',
    'by its id on a cluster: the other jobs of the cluster are left alone',
  ),
  cancel(
    'an incomplete listing concludes nothing',
    "mustBeWhole(unreadable, 'jobs of the queue')",
    '',
    'never by an answer that cannot be read',
  ),
  statuses(
    'an unknown status is a live job',
    'TERMINAL_MANAGED.has(status)',
    `!['PENDING', 'STARTING', 'RUNNING'].includes(status)`,
    'when it has ended, not when it lives, nor when its status is one that nobody knows',
  ),
  cluster(
    'absence counts after two complete looks',
    'active.some((request) => MAKERS.has(request.name))',
    'false',
    'a cluster that is not there is no proof while a launch of it is under way',
  ),
  look(
    'an incomplete listing concludes nothing',
    'complete: isWhole(jobs)',
    'complete: true',
    'from looks that cannot be read in full is not gone, however many',
  ),
  look(
    'an incomplete listing concludes nothing',
    'complete: unreadable === 0',
    'complete: true',
    'whose queue cannot be read in full has not lost its jobs',
  ),
  look(
    'an incomplete listing concludes nothing',
    'const isComplete = isWhole(clusters)',
    'const isComplete = true',
    'that is missing is told so only by a look that could be read in full',
  ),
  look(
    'an incomplete listing concludes nothing',
    'seen: undefined, unreadable: 0, error }',
    'seen: [], unreadable: 0, error }',
    'from a list that could not be had at all is not gone, however often',
  ),
  look(
    'absence counts after two complete looks',
    'const gone = view.managed.notIn(live.jobs)',
    'const gone: number[] = []',
    'from the live ones is asked for by its id, and its end is told',
  ),
  jobsView(
    'absence counts after two complete looks',
    'const MISSES_MIN = 2',
    'const MISSES_MIN = 1',
    'from one look means nothing, from two complete ones that the job is gone',
  ),
  jobsView(
    'absence counts after two complete looks',
    'const MISSES_APART_MS = 10_000',
    'const MISSES_APART_MS = 0',
    'from two looks right after each other, as somebody asks for them, counts once',
  ),
  jobsView(
    'an incomplete listing concludes nothing',
    'look.complete ? this.#missing(look) : []',
    'this.#missing(look)',
    'from a look that could not be read in full never counts',
  ),
  jobsView(
    'what could not be told is told again',
    `if (fact.kind === 'observed' || fact.kind === 'foreignSeen') {`,
    'if (false) {',
    'what could not be delivered is told again',
  ),
  clustersView(
    'an incomplete listing concludes nothing',
    'if (look.complete) facts',
    'facts',
    'what is seen by a look that could not be read in full, and of absence nothing, however often',
  ),
  clustersView(
    'absence counts after two complete looks',
    'const MISSES_TOLD_MAX = 2',
    'const MISSES_TOLD_MAX = 1',
    'absence twice and no more, and again after the next sight of it',
  ),
]
