import * as wf from '@temporalio/workflow'
import type { Activities } from '../activities/index.ts'
import { accept, WISHES, type Wish } from '../core/accept.ts'
import { type Action, isOutdated } from '../core/action.ts'
import { advance, retold } from '../core/advance.ts'
import { decide } from '../core/decide.ts'
import { evolve } from '../core/evolve.ts'
import type { Experiment } from '../core/experiment.ts'
import { explain, phaseOf, wakeAtMs } from '../core/explain.ts'
import type { Fact } from '../core/facts.ts'
import { isFact } from '../core/guards.ts'
import { type Receipt, refuse } from '../core/receipt.ts'
import { snapshotOf } from '../core/snapshot.ts'
import { upgrade } from '../core/upgrade.ts'
import { Alarm } from './alarm.ts'
import * as messages from './definitions.ts'
import { perform, summaryOf } from './perform.ts'

/** An activity of its own and not a local one: that would tell what a task found that was lost, and then never was. */
const tables = wf.proxyActivities<Activities>({
  startToCloseTimeout: '20s',
  retry: { initialInterval: '1s', maximumInterval: '30s' },
})

/**
 * A run is left long before the server asks for it. A worker that takes over from one that died replays the histories
 * of all workflows that the other had, at up to a millisecond an event, while their tasks time out after three seconds.
 */
const HISTORY_EVENTS_MAX = 500

/** One experiment for as long as it exists: decide, perform, evolve, one action at a time. */
export async function experiment(start: unknown): Promise<void> {
  const given = upgrade(start)
  if (!given)
    throw wf.ApplicationFailure.nonRetryable('not an experiment: start it through SkyDeck', 'NotAnExperiment')
  const self = new Self(given)
  registerHandlers(self)
  // Cancelling in the Temporal UI must not strand a machine, so it means "clean up, then end".
  wf.CancellationScope.current().cancelRequested.catch(() =>
    self.take('delete', { actor: 'temporal', reason: 'cancelled in Temporal' }),
  )

  return wf.CancellationScope.nonCancellable(async () => {
    while (!mustContinue()) {
      const action = decide(self.state, Date.now())
      // The identity of an attempt is fixed before anything is launched.
      if (action.kind === 'launch') self.learn([{ kind: 'launchIntended', atMs: Date.now() }])
      self.project()
      tell(self.state, action)
      self.setAlarm(action)
      if (action.kind === 'finish') {
        if (self.isProjected()) return undefined
        const news = self.hasNews()
        await wf.condition(() => news() || self.isProjected())
      } else self.learn(await carryOut(self, action))
    }
    await wf.condition(wf.allHandlersFinished)
    return wf.continueAsNew<typeof experiment>(self.state)
  })
}

function mustContinue(): boolean {
  const { continueAsNewSuggested, historyLength } = wf.workflowInfo()
  // Runs of earlier releases went on here, and must be replayed as they were.
  return continueAsNewSuggested || (historyLength > HISTORY_EVENTS_MAX && wf.patched('short-histories'))
}

/** The state, and everything that may change it. Nothing that must survive lives beside the state. */
class Self {
  state: Experiment
  /** Grows with every change, so that a wait can see that there was one. */
  version = 0
  readonly #alarm = new Alarm()
  #isProjecting = false

  constructor(start: Experiment) {
    this.state = retold(start, Date.now())
  }

  take(kind: Wish['kind'], value: unknown): Receipt {
    const [next, receipt] = accept(this.state, { kind, value }, Date.now())
    if (!receipt.accepted) wf.log.warn('refused a wish', { kind, reason: receipt.reason })
    this.#set(retold(next, Date.now()))
    return receipt
  }

  learn(facts: readonly Fact[]): void {
    this.#set(advance(this.state, facts, Date.now()))
  }

  count(reason: string): void {
    this.#set(refuse(this.state, reason)[0])
    // No news, but the loop must see when a flood of them has made the history long.
    this.version += 1
  }

  /** Has us woken when time alone may change what is to be done, also while something else is being done. */
  setAlarm(action: Action): void {
    this.#alarm.set(wakeAtMs(this.state, action, Date.now()))
  }

  isProjected(): boolean {
    return this.state.projected >= this.state.revision
  }

  /** Tells whether anything has changed since now: the state, the time, or that Postgres can be told the next. */
  hasNews(): () => boolean {
    const { version } = this
    const { rings } = this.#alarm
    return () => this.version !== version || this.#alarm.rings !== rings || this.#mayProject()
  }

  /**
   * Has Postgres told what it does not know, beside the loop, so that a database that is away never holds up a stop.
   * Only the loop calls this, and before all else that it does: what is asked of Temporal must come in one order,
   * whether a wish and the end of the last projection come together or apart.
   */
  project(): void {
    if (this.#mayProject()) void this.#project()
  }

  #mayProject(): boolean {
    return !this.#isProjecting && !this.isProjected()
  }

  async #project(): Promise<void> {
    this.#isProjecting = true
    const snapshot = snapshotOf(this.state, Date.now())
    const summary = summaryOf(`${snapshot.phase}: ${snapshot.why}`)
    await tables.project.executeWithOptions({ summary }, [snapshot])
    const { revision, events } = snapshot
    const lastSeq = events.at(-1)?.seq ?? 0
    // What Postgres has is no news: nothing is decided by it.
    this.state = evolve(this.state, { kind: 'projected', revision, lastSeq })
    this.#isProjecting = false
  }

  #set(next: Experiment): void {
    if (next.revision !== this.state.revision) this.version += 1
    this.state = next
  }
}

/** Before the first await, so that the messages that started us find them. Handlers are synchronous: they only change state. */
function registerHandlers(self: Self): void {
  for (const kind of WISHES) {
    wf.setHandler(messages.wishUpdates[kind], (value) => self.take(kind, value))
    wf.setHandler(messages.wishSignals[kind], (value) => void self.take(kind, value))
  }
  wf.setHandler(messages.observe, (facts: unknown) => {
    if (Array.isArray(facts) && facts.every(isFact)) self.learn(facts)
    else self.count('an observation that cannot be read')
  })
  wf.setHandler(messages.getState, () => self.state)
  wf.setHandler(messages.explainQuery, () => explain(self.state, Date.now()))
  wf.setDefaultSignalHandler((name) => self.count(`there is no signal ${name.slice(0, 80)}`))
  wf.setDefaultUpdateHandler((name) => {
    throw wf.ApplicationFailure.nonRetryable(`there is no update ${name.slice(0, 80)}`, 'UnknownUpdate')
  })
}

/** Performs the action. Waiting ends with any news; acting is cut short only by what makes it wrong. */
async function carryOut(self: Self, action: Exclude<Action, { kind: 'finish' }>): Promise<Fact[]> {
  if (action.kind === 'wait') {
    await wf.condition(self.hasNews())
    return []
  }
  if (action.kind === 'conclude')
    return [{ kind: 'concluded', conclusion: action.conclusion, reason: action.why, atMs: Date.now() }]
  const outdated = (): boolean => isOutdated(action, decide(self.state, Date.now()))
  return untilOutdated(self, () => perform(self.state, action), outdated)
}

/** Cancels the work once it is outdated, and still waits for its end: a launch that was cut short may have launched. */
async function untilOutdated(
  self: Self,
  work: () => Promise<Fact[]>,
  outdated: () => boolean,
): Promise<Fact[]> {
  const scope = new wf.CancellationScope()
  let done = false
  const result = scope.run(work).finally(() => {
    done = true
  })
  let isCancelled = false
  for (;;) {
    const news = self.hasNews()
    await wf.condition(() => done || news())
    if (done) return result
    // What people are told may change by the clock alone, also while something is being done.
    self.learn([])
    self.project()
    self.setAlarm(decide(self.state, Date.now()))
    if (!isCancelled && outdated()) {
      isCancelled = true
      scope.cancel()
    }
  }
}

/** Makes the Temporal UI a usable second console. The search attribute is written only when the phase changes. */
function tell(state: Experiment, action: Action): void {
  const { attempt, desired } = state
  const job = attempt ? `\n\nRun ${attempt.run}, attempt ${attempt.attempt}: \`${attempt.jobName}\`` : ''
  wf.setCurrentDetails(`**${state.name}** wants **${desired.state}**: ${action.why}${job}`)
  const phase = phaseOf(state)
  if (wf.workflowInfo().searchAttributes['SkyDeckState']?.[0] !== phase)
    wf.upsertSearchAttributes({ SkyDeckState: [phase], SkyDeckName: [state.name] })
}
