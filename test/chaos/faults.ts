import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from '@temporalio/client'
import type { FaultRecord } from './evidence.ts'
import { garbage, sendGarbage } from './garbage.ts'
import type { LinkMode } from './proxy.ts'
import type { Random } from './random.ts'
import type { Part, Server, Topology, User } from './topology.ts'

/** One thing that goes wrong. */
export type Fault =
  | { kind: 'kill'; target: Part; backAfterMs: number }
  | { kind: 'freeze'; target: Part; forMs: number }
  | { kind: 'link'; mode: Exclude<LinkMode, 'pass'>; user: User | 'all'; server: Server; forMs: number }
  | { kind: 'answer'; match: string; how: Answer; times: number }
  | { kind: 'garbage'; messages: number }
  | { kind: 'outside-cancel'; place: number }

type Answer = (typeof ANSWERS)[number]

export interface PlannedFault {
  atMs: number
  fault: Fault
}

const KINDS = {
  kill: 30,
  freeze: 18,
  link: 20,
  answer: 18,
  // Among the answers by itself: this is what a second job comes from, and by chance it would come once an hour.
  'lost-launch': 14,
  garbage: 7,
  'outside-cancel': 7,
} as const
const PARTS: readonly Part[] = ['worker-1', 'worker-2', 'api-1', 'api-2', 'temporal', 'skypilot', 'postgres']
const WAYS: ReadonlyArray<readonly [User | 'all', Server]> = [
  ['api-1', 'temporal'],
  ['api-2', 'temporal'],
  ['worker-1', 'temporal'],
  ['worker-2', 'temporal'],
  ['worker-1', 'skypilot'],
  ['worker-2', 'skypilot'],
  ['all', 'skypilot'],
  ['all', 'postgres'],
]
const ANSWERS = ['drop-after', 'drop-before', 'delay', 'hold', 'truncate', 'status', 'stale'] as const
const PATHS = ['/jobs/launch', '/jobs/launch', '/api/get', '/jobs/queue', '/jobs/cancel', '/api/status', '/']
/** Some wrong answers make sense in one place only: to lie about the queue, to make a launch wait its turn. */
const MEANT_FOR: Partial<Record<Answer, string>> = { stale: '/jobs/queue', hold: '/jobs/launch' }
const LINK_MODES = ['half-open', 'half-open', 'drop', 'delay', 'reset'] as const

/** Wrong answers that nobody asks for are taken back after this time. */
const ANSWERS_MS = 10_000

/** Between two faults. */
const PAUSE_MS = [3_000, 8_000] as const

/** Decides beforehand what goes wrong and when, from the seed alone. */
export function planFaults(random: Random, forMs: number): PlannedFault[] {
  const plan: PlannedFault[] = []
  for (let atMs = random.between(1_000, 3_000); atMs < forMs; atMs += random.between(...PAUSE_MS))
    plan.push({ atMs: Math.round(atMs), fault: drawFault(random) })
  return plan
}

function drawFault(random: Random): Fault {
  const kind = random.weighted(KINDS)
  switch (kind) {
    case 'kill':
      return { kind, target: random.pick(PARTS), backAfterMs: random.int(200, 2_500) }
    case 'freeze':
      return { kind, target: random.pick(PARTS), forMs: random.int(1_000, 15_000) }
    case 'link': {
      const [user, server] = random.pick(WAYS)
      return { kind, mode: random.pick(LINK_MODES), user, server, forMs: 5_000 }
    }
    case 'answer': {
      const how = random.pick(ANSWERS)
      const match = MEANT_FOR[how] ?? random.pick(PATHS)
      return { kind, match, how, times: random.int(1, 3) }
    }
    case 'lost-launch':
      return { kind: 'answer', match: '/jobs/launch', how: 'drop-after', times: random.int(1, 3) }
    case 'garbage':
      return { kind, messages: random.int(3, 8) }
    case 'outside-cancel':
      return { kind, place: random.next() }
  }
}

/** Makes things go wrong, and makes all of them good again. */
export class Faults {
  readonly records: FaultRecord[] = []
  readonly #topology: Topology
  readonly #random: Random
  readonly #experimentIds: () => number[]
  readonly #running: Promise<void>[] = []
  readonly #say: (line: string) => void

  constructor(given: {
    topology: Topology
    random: Random
    experimentIds: () => number[]
    say: (line: string) => void
  }) {
    this.#topology = given.topology
    this.#random = given.random
    this.#experimentIds = given.experimentIds
    this.#say = given.say
  }

  /** Carries out the plan; a fault that lasts does not hold up the next one. */
  async carryOut(plan: readonly PlannedFault[], signal: AbortSignal): Promise<void> {
    const startedMs = Date.now()
    for (const { atMs, fault } of plan) {
      await sleep(Math.max(0, startedMs + atMs - Date.now()), undefined, { signal }).catch(() => undefined)
      if (signal.aborted) return
      this.#running.push(this.#inject(fault))
    }
  }

  /** Waits until nothing is frozen any more, then opens all links and takes back what SkyPilot was told to do. */
  async heal(): Promise<void> {
    await Promise.all(this.#running)
    for (const link of this.#topology.links.values()) link.set('pass')
    await eventually(30_000, async () => {
      const { skypilotUrl } = this.#topology.servers
      await ask(`${skypilotUrl}/local/faults`, { method: 'DELETE' })
    })
  }

  async #inject(fault: Fault): Promise<void> {
    const record: FaultRecord = {
      ...describe(fault),
      startedMs: Date.now(),
      endedMs: Number.POSITIVE_INFINITY,
    }
    this.records.push(record)
    this.#say(`${record.label} ${record.target} ${record.detail}`)
    try {
      await this.#do(fault)
    } catch (error) {
      record.detail += ` (${error instanceof Error ? error.message : String(error)})`
    }
    record.endedMs = Date.now()
  }

  async #do(fault: Fault): Promise<void> {
    const topology = this.#topology
    switch (fault.kind) {
      case 'kill':
        topology.puppet(fault.target).kill(fault.backAfterMs)
        return sleep(fault.backAfterMs)
      case 'freeze':
        return topology.puppet(fault.target).freeze(fault.forMs)
      case 'link': {
        const links = topology.linksTo(fault.server, fault.user)
        for (const link of links) link.set(fault.mode)
        await sleep(fault.forMs)
        for (const link of links) if (link.mode === fault.mode) link.set('pass')
        return
      }
      case 'answer':
        return this.#misbehave(fault)
      case 'garbage':
        return this.#sendGarbage(topology.temporal, fault.messages)
      case 'outside-cancel':
        return cancelFromOutside(topology.servers.skypilotUrl, fault.place)
    }
  }

  /** It stays until it was used up, or for some time, or until the next one comes. */
  async #misbehave({ match, how, times }: Extract<Fault, { kind: 'answer' }>): Promise<void> {
    const status = this.#random.pick([500, 502, 503, 429])
    const faults = [{ match, kind: how, times, status, delayMs: this.#random.int(500, 8_000) }]
    const url = `${this.#topology.servers.skypilotUrl}/local/faults`
    const answer = await ask(url, { method: 'POST', body: JSON.stringify(faults) })
    if (!answer.ok) throw new Error(await answer.text())
    for (const untilMs = Date.now() + ANSWERS_MS; Date.now() < untilMs; await sleep(500))
      if ((await (await ask(url)).text()) === '[]') return
    await ask(url, { method: 'DELETE' })
  }

  async #sendGarbage(temporal: Client, messages: number): Promise<void> {
    const workflows = [...this.#experimentIds().map((id) => `experiment-${id}`), 'fleet']
    for (let count = 0; count < messages; count += 1)
      await sendGarbage(temporal, this.#random.pick(workflows), garbage(this.#random))
  }
}

/** Sees nothing, or sees too late: while such a fault lasts nobody can tell which jobs there are. */
const BLINDING_LINKS: ReadonlySet<string> = new Set(['drop', 'half-open', 'delay'])

function describe(fault: Fault): Pick<FaultRecord, 'label' | 'target' | 'detail' | 'blinds'> {
  switch (fault.kind) {
    case 'kill':
      return say(`kill ${sort(fault.target)}`, fault.target, `back after ${fault.backAfterMs} ms`, false)
    case 'freeze': {
      const blinds = fault.target.startsWith('worker') || fault.target === 'skypilot'
      return say(`freeze ${sort(fault.target)}`, fault.target, `for ${fault.forMs} ms`, blinds)
    }
    case 'link': {
      const label = `${fault.mode} ${sort(fault.user)}-${fault.server}`
      const blinds = fault.server === 'skypilot' && BLINDING_LINKS.has(fault.mode)
      return say(label, fault.user, `for ${fault.forMs} ms`, blinds)
    }
    case 'answer':
      return say(
        `answer ${fault.how}`,
        'skypilot',
        `${fault.times} times at ${fault.match}`,
        fault.how === 'stale',
      )
    case 'garbage':
      return say('garbage', 'workflows', `${fault.messages} messages`, false)
    case 'outside-cancel':
      return say('outside cancel', 'skypilot', '', false)
  }
}

const say = (label: string, target: string, detail: string, blinds: boolean) => ({
  label,
  target,
  detail,
  blinds,
})

/** `worker-2` is a worker. */
const sort = (target: string): string => target.replace(/-\d$/, '')

/** As somebody at a terminal would: by its id, past SkyDeck. */
async function cancelFromOutside(skypilotUrl: string, place: number): Promise<void> {
  const ledger = (await (await ask(`${skypilotUrl}/local/ledger`)).json()) as Array<{
    effect: string
    job_id: number
  }>
  const ended = new Set(
    ledger
      .filter(({ effect }) => ['succeeded', 'cancelled', 'failed'].includes(effect))
      .map(({ job_id: id }) => id),
  )
  const live = [...new Set(ledger.map(({ job_id: id }) => id))].filter((id) => !ended.has(id))
  const job = live[Math.floor(place * live.length)]
  if (job === undefined) return
  await ask(`${skypilotUrl}/jobs/cancel`, { method: 'POST', body: JSON.stringify({ job_ids: [job] }) })
}

const ask = (url: string, init: RequestInit = {}): Promise<Response> =>
  fetch(url, { ...init, signal: AbortSignal.timeout(5_000) })

/** Tries until it works. @throws the last error when the time is over */
export async function eventually<T>(ms: number, work: () => Promise<T>): Promise<T> {
  const untilMs = Date.now() + ms
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (Date.now() > untilMs) throw error
      await sleep(250)
    }
  }
}
