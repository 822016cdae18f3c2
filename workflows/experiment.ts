import * as wf from '@temporalio/workflow'
import type { Activities } from '../activities/index.ts'
import { accept, type Receipt, refuse, type Wish } from '../core/accept.ts'
import { type Action, decide } from '../core/decide.ts'
import { evolve, type Fact } from '../core/evolve.ts'
import type { Experiment } from '../core/experiment.ts'
import { explain, phaseOf } from '../core/explain.ts'
import { isExperiment, isFact } from '../core/guards.ts'
import { snapshotOf } from '../core/snapshot.ts'
import * as messages from './definitions.ts'
import { perform, type Step, summaryOf } from './perform.ts'

const projection = wf.proxyActivities<Activities>({
  startToCloseTimeout: '20s',
  retry: { initialInterval: '1s', maximumInterval: '30s' },
})

/** Leave a run early enough that even a burst of messages cannot reach the server's limit of 51,200 events. */
const HISTORY_EVENTS_MAX = 8_000

/** One experiment for as long as it exists: decide, perform, evolve, one action at a time. */
export async function experiment(start: unknown): Promise<void> {
  if (!isExperiment(start))
    throw wf.ApplicationFailure.nonRetryable('not an experiment: start it through SkyDeck', 'NotAnExperiment')
  let state: Experiment = start
  let version = 0

  const set = (next: Experiment): void => {
    if (next.revision !== state.revision) version += 1
    state = next
  }
  const take =
    (kind: Wish['kind']) =>
    (value: unknown): Receipt => {
      const [next, receipt] = accept(state, { kind, value }, Date.now())
      if (!receipt.accepted) wf.log.warn('refused a wish', { kind, reason: receipt.reason })
      set(next)
      return receipt
    }
  const learn = (facts: readonly Fact[]): void => set(facts.reduce(evolve, state))
  registerHandlers({ take, learn, current: () => state, refuse: (reason) => set(refuse(state, reason)[0]) })
  // Cancelling in the Temporal UI must not strand a machine, so it means "clean up, then end".
  wf.CancellationScope.current().cancelRequested.catch(() =>
    take('delete')({ actor: 'temporal', reason: 'cancelled in Temporal' }),
  )

  return wf.CancellationScope.nonCancellable(async () => {
    void keepProjecting(
      () => state,
      (fact) => {
        state = evolve(state, fact)
      },
    )
    while (!mustContinue()) {
      const action = decide(state, Date.now())
      tell(state, action)
      if (action.kind === 'finish') return wf.condition(() => isProjected(state))
      learn(
        await carryOut(
          action,
          () => state,
          () => version,
          learn,
        ),
      )
    }
    await wf.condition(wf.allHandlersFinished)
    return wf.continueAsNew<typeof experiment>(state)
  })
}

const mustContinue = (): boolean => {
  const { continueAsNewSuggested, historyLength } = wf.workflowInfo()
  return continueAsNewSuggested || historyLength > HISTORY_EVENTS_MAX
}

interface Handlers {
  take: (kind: Wish['kind']) => (value: unknown) => Receipt
  learn: (facts: readonly Fact[]) => void
  refuse: (reason: string) => void
  current: () => Experiment
}

/** Before the first await, so that the messages that started us find them. Handlers are synchronous: they only change state. */
function registerHandlers({ take, learn, refuse: count, current }: Handlers): void {
  const wishes = [
    ['setDesiredState', messages.setDesiredState, messages.setDesiredStateSignal],
    ['setFlags', messages.setFlags, messages.setFlagsSignal],
    ['cancelJob', messages.cancelJob, messages.cancelJobSignal],
    ['edit', messages.edit, messages.editSignal],
    ['delete', messages.deleteExperiment, messages.deleteSignal],
  ] as const
  for (const [kind, update, signal] of wishes) {
    wf.setHandler(update, take(kind))
    wf.setHandler(signal, (value) => void take(kind)(value))
  }
  wf.setHandler(messages.observe, (facts: unknown) => {
    if (Array.isArray(facts) && facts.every(isFact)) learn(facts)
    else count('an observation that cannot be read')
  })
  wf.setHandler(messages.getState, current)
  wf.setHandler(messages.explainQuery, () => explain(current(), Date.now()))
  wf.setDefaultSignalHandler((name) => count(`there is no signal ${name.slice(0, 80)}`))
  wf.setDefaultUpdateHandler((name) => {
    throw wf.ApplicationFailure.nonRetryable(`there is no update ${name.slice(0, 80)}`, 'UnknownUpdate')
  })
}

type Read<T> = () => T

/** Performs the action. Waiting ends with any news; acting is cut short only by a wish that makes it wrong. */
async function carryOut(
  action: Exclude<Action, { kind: 'finish' }>,
  state: Read<Experiment>,
  version: Read<number>,
  learn: (facts: Fact[]) => void,
): Promise<Fact[]> {
  const seen = version()
  if (action.kind === 'wait') {
    const news = (): boolean => version() !== seen
    await (action.forMs === null ? wf.condition(news) : wf.condition(news, action.forMs))
    return []
  }
  if (action.kind === 'launch') learn([{ kind: 'launchIntended', atMs: Date.now() }])
  const outdated = (): boolean => isOutdated(action, decide(state(), Date.now()))
  return untilOutdated(() => perform(state(), action), outdated)
}

const isOutdated = (action: Step, now: Action): boolean =>
  now.kind !== action.kind && action.kind !== 'cancel'

/** Cancels the work once it is outdated, and still waits for its end: a launch that was cut short may have launched. */
async function untilOutdated(work: () => Promise<Fact[]>, outdated: Read<boolean>): Promise<Fact[]> {
  const scope = new wf.CancellationScope()
  let done = false
  const result = scope.run(work).finally(() => {
    done = true
  })
  await wf.condition(() => done || outdated())
  if (!done) scope.cancel()
  return result
}

/** Keeps Postgres up to date beside the loop, so that a database that is away never holds up a stop. */
async function keepProjecting(state: Read<Experiment>, learn: (fact: Fact) => void): Promise<void> {
  for (;;) {
    await wf.condition(() => !isProjected(state()))
    const snapshot = snapshotOf(state(), Date.now())
    const summary = summaryOf(`${snapshot.phase}: ${snapshot.why}`)
    await projection.project.executeWithOptions({ summary }, [snapshot])
    learn({ kind: 'projected', revision: snapshot.revision, lastSeq: snapshot.events.at(-1)?.seq ?? 0 })
  }
}

const isProjected = (state: Experiment): boolean => state.projected >= state.revision

/** Makes the Temporal UI a usable second console. The search attribute is written only when the phase changes. */
function tell(state: Experiment, action: Action): void {
  const { attempt, desired } = state
  const job = attempt ? `\n\nRun ${attempt.run}, attempt ${attempt.attempt}: \`${attempt.jobName}\`` : ''
  wf.setCurrentDetails(`**${state.name}** wants **${desired.state}**: ${action.why}${job}`)
  const phase = phaseOf(state)
  if (wf.workflowInfo().searchAttributes['SkyDeckState']?.[0] !== phase)
    wf.upsertSearchAttributes({ SkyDeckState: [phase], SkyDeckName: [state.name] })
}
