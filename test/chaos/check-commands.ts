import { iso, stateOf } from './check-jobs.ts'
import type { Command, EventRow, Evidence, Invariant, Violation, WorkflowView } from './evidence.ts'

/** Clocks of one machine, but an event carries the time of the task that took it, which may be earlier. */
const SLACK_MS = 5_000

/** Judges what clients were told, against histories, the event log and what holds in the end. */
export function checkCommands(evidence: Evidence): Violation[] {
  const ids = evidence.experiments.map(({ id }) => id)
  return [
    ...evidence.commands.flatMap((command) => checkCommand(evidence, command)),
    ...ids.flatMap((id) => checkLog(id, eventsOf(evidence, id))),
    ...evidence.workflows.flatMap((workflow) => checkRegisters(evidence, workflow)),
    ...checkCreations(evidence),
  ]
}

const eventsOf = ({ events }: Evidence, id: number): EventRow[] =>
  events.filter((event) => event.experiment_id === id).toSorted((a, b) => a.seq - b.seq)

function violation(
  invariant: Invariant,
  command: Command,
  text: string,
  events: readonly EventRow[] = [],
): Violation {
  return {
    invariant,
    experimentId: command.experimentId,
    text: `${sayCommand(command)}: ${text}`,
    lines: events.map(sayEvent),
  }
}

const sayCommand = ({ token, kind, name, value, outcome, invokedMs, endedMs }: Command): string =>
  `${token} ${kind} ${name} ${value} (${outcome}, ${iso(invokedMs)} to ${endedMs === null ? 'never' : iso(endedMs)})`

const sayEvent = ({ seq, at, kind, actor, text }: EventRow): string =>
  `${seq} ${iso(at)} ${kind} by ${actor}: ${text}`

function checkCommand(evidence: Evidence, command: Command): Violation[] {
  const written = evidence.events.filter(({ actor }) => actor === command.token)
  const kinds = written.map(({ kind }) => kind)
  const found: Violation[] = []
  if (new Set(kinds).size < kinds.length)
    found.push(violation('I13 audit', command, `${kinds.length} times in the event log`, written))
  if (command.outcome === 'fail' && written.length > 0)
    found.push(violation('I13 audit', command, 'was refused, but is in the event log', written))
  if (command.outcome !== 'ok') return found
  if (written.length === 0 && !changedNothing(evidence, command))
    found.push(violation('I13 audit', command, 'was acknowledged, but is not in the event log'))
  const workflow = evidence.workflows.find(({ experimentId }) => experimentId === command.experimentId)
  if (workflow && !isInHistory(evidence, workflow, command))
    found.push(violation('I3 acknowledged', command, 'was acknowledged, but is not in the history'))
  return found
}

const isInHistory = (evidence: Evidence, { tokens }: WorkflowView, command: Command): boolean =>
  tokens.includes(command.token) || changedNothing(evidence, command)

/** To wish for what is wished for already is acknowledged and changes nothing. */
function changedNothing(evidence: Evidence, { kind, value, experimentId, ...times }: Command): boolean {
  if (kind !== 'state' || experimentId === null) return false
  const fromMs = times.invokedMs - SLACK_MS
  const toMs = (times.endedMs ?? Number.POSITIVE_INFINITY) + SLACK_MS
  return wishesOf(evidence, experimentId).some(
    (wish) => wish.state === value && wish.fromMs <= toMs && wish.toMs >= fromMs,
  )
}

/** What was wished for, and from when till when, by the event log. */
function wishesOf(
  evidence: Evidence,
  experimentId: number,
): Array<{ state: string; fromMs: number; toMs: number }> {
  const changes = eventsOf(evidence, experimentId).flatMap(({ at, detail }) =>
    typeof detail['to'] === 'string' ? [{ at, state: detail['to'] }] : [],
  )
  return [{ at: 0, state: 'STOPPED' }, ...changes].map(({ at, state }, index) => ({
    state,
    fromMs: at,
    toMs: changes[index]?.at ?? Number.POSITIVE_INFINITY,
  }))
}

/** Numbers of lines and of wishes go up by one: a gap is something lost. */
function checkLog(experimentId: number, events: readonly EventRow[]): Violation[] {
  const gap = (numbers: readonly number[]): number => numbers.findIndex((each, at) => each !== at + 1)
  const lines = events.map(({ seq }) => seq)
  const generations = events.flatMap(({ detail: { generation } }) =>
    typeof generation === 'number' ? [generation] : [],
  )
  return [
    { what: 'event log', numbers: lines },
    { what: 'generations', numbers: generations },
  ].flatMap(({ what, numbers }) => {
    const at = gap(numbers)
    if (at === -1) return []
    const text = `${what}: ${at + 1} should come next, but ${numbers[at]} does`
    return [
      {
        invariant: 'I3 generations' as const,
        experimentId,
        text,
        lines: events.slice(Math.max(0, at - 3), at + 3).map(sayEvent),
      },
    ]
  })
}

/** What holds in the end must be the last thing that somebody said, as far as there is an order. */
function checkRegisters(evidence: Evidence, { experimentId, state, status }: WorkflowView): Violation[] {
  if (!state) return []
  const created = creatorOf(evidence, experimentId)
  const own = evidence.commands.filter((command) => command.experimentId === experimentId)
  const said = [...(created && !own.includes(created) ? [created] : []), ...own]
  const wishes = said.filter(({ kind }) => kind !== 'flags')
  const flags = said.filter(({ kind }) => kind === 'flags' || kind === 'create')
  const mark = markOf(evidence, experimentId)
  return [
    ...checkRegister(experimentId, 'desired state', state.desired.state, wishes, stateOf),
    // Once deleted, nothing can be edited any more.
    ...(mark === undefined || status !== 'RUNNING'
      ? []
      : checkRegister(experimentId, 'mark in the flags', mark, flags, markIn)),
  ]
}

const markIn = ({ kind, value, token }: Command): string => (kind === 'create' ? token : value)

const creatorOf = ({ commands, experiments }: Evidence, experimentId: number): Command | undefined => {
  const row = experiments.find(({ id }) => id === experimentId)
  return commands.find(({ kind, token }) => kind === 'create' && token === row?.created_by)
}

function markOf({ experiments }: Evidence, experimentId: number): string | undefined {
  const mark = experiments.find(({ id }) => id === experimentId)?.spec.flags['chaos_mark']
  return typeof mark === 'string' ? mark : undefined
}

function checkRegister(
  experimentId: number,
  what: string,
  held: string,
  writes: readonly Command[],
  valueOf: (command: Command) => string,
): Violation[] {
  const possible = writes.filter((write) => write.outcome !== 'fail')
  const sure = possible.filter(({ outcome }) => outcome === 'ok')
  const explained = possible.some((write) => {
    const endedMs =
      write.outcome === 'ok' && write.endedMs !== null ? write.endedMs : Number.POSITIVE_INFINITY
    return valueOf(write) === held && !sure.some(({ invokedMs }) => invokedMs > endedMs)
  })
  // Without a command there is nothing to compare with.
  if (explained || sure.length === 0) return []
  const last = sure.toSorted((a, b) => a.invokedMs - b.invokedMs).slice(-4)
  return [
    {
      invariant: 'I3 acknowledged',
      experimentId,
      text: `the ${what} is ${held} in the end, which nobody said last`,
      lines: last.map(sayCommand),
    },
  ]
}

function checkCreations({ commands, experiments }: Evidence): Violation[] {
  const creations = commands.filter(({ kind }) => kind === 'create')
  const twice = creations.filter(
    (command) =>
      command.experimentId !== null &&
      creations.some((other) => other !== command && other.experimentId === command.experimentId),
  )
  const lost = creations.filter(
    ({ outcome, experimentId }) => outcome === 'ok' && !experiments.some(({ id }) => id === experimentId),
  )
  const refused = creations.filter(
    ({ outcome, token }) => outcome === 'fail' && experiments.some((row) => row.created_by === token),
  )
  return [
    ...twice.map((command) => violation('I9 identity', command, 'was given an id that another has')),
    ...lost.map((command) => violation('I3 acknowledged', command, 'was acknowledged, but there is no row')),
    ...refused.map((command) => violation('I13 audit', command, 'was refused, but there is a row')),
  ]
}
