import { setTimeout as sleep } from 'node:timers/promises'
import { type DesiredState, type NewExperiment, SkyDeck, SkyDeckError } from '../../sdk/client.ts'
import type { Command } from './evidence.ts'
import type { Random } from './random.ts'

/** A client waits so long, then goes on; what becomes of its command is unknown unless the answer still comes. */
const PATIENCE_MS = 10_000

const CHANCES = { RUNNING: 42, STOPPED: 24, TERMINATED: 7, flags: 15, recreate: 7, look: 5 } as const

/** A place for an experiment: when one is deleted another of the same name follows. */
interface Place {
  name: string
  id: number | null
}

export interface WorkloadOptions {
  random: Random
  apiUrls: ReadonlyMap<string, string>
  jobCommand: string
  clients: number
  perSecond: number
  places: number
}

/** Clients that wish for this and that, each call written down before it is made. */
export class Workload {
  readonly commands: Command[] = []
  readonly #options: WorkloadOptions
  readonly #places: Place[]
  readonly #late: Promise<void>[] = []

  constructor(options: WorkloadOptions) {
    this.#options = options
    this.#places = Array.from({ length: options.places }, (_, at) => ({ name: `x${at}`, id: null }))
  }

  /** Makes the first two thirds of the experiments; the others are made while it runs. */
  async begin(): Promise<void> {
    const random = this.#options.random.fork('begin')
    const first = this.#places.slice(0, Math.ceil((this.#places.length * 2) / 3))
    for (const [at, place] of first.entries()) await this.#create(random, place, `begin.${at}`)
  }

  /** Runs all clients until the signal, and waits for the answers that are still to come. */
  async run(signal: AbortSignal): Promise<void> {
    const clients = Array.from({ length: this.#options.clients }, (_, at) => this.#client(at, signal))
    await Promise.all(clients)
    await Promise.all(this.#late)
  }

  async #client(number: number, signal: AbortSignal): Promise<void> {
    const random = this.#options.random.fork(`client ${number}`)
    const meanMs = (this.#options.clients / this.#options.perSecond) * 1_000
    for (let count = 0; !signal.aborted; count += 1) {
      await sleep(random.between(0.4, 1.6) * meanMs, undefined, { signal }).catch(() => undefined)
      if (!signal.aborted) await this.#act(random, `${number}.${count}`)
    }
  }

  async #act(random: Random, token: string): Promise<void> {
    const place = random.pick(this.#places)
    const what = random.weighted(CHANCES)
    if (place.id === null) return this.#findOrCreate(random, place, token)
    switch (what) {
      case 'RUNNING':
      case 'STOPPED':
      case 'TERMINATED':
        return this.#wish(random, place, token, what)
      case 'flags':
        return this.#setFlags(random, place, token)
      case 'recreate':
        return this.#recreate(random, place, token)
      case 'look':
        return this.#look(random, place)
    }
  }

  /** An earlier creation may have happened without our knowing. */
  async #findOrCreate(random: Random, place: Place, token: string): Promise<void> {
    await this.#look(random, place)
    if (place.id === null) await this.#create(random, place, token)
  }

  async #look(random: Random, place: Place): Promise<void> {
    const { sdk } = this.#sdk(random, 'looker')
    const found = await within(PATIENCE_MS, sdk.get(place.id ?? place.name)).catch((error: unknown) => error)
    if (found instanceof SkyDeckError && found.status === 404) place.id = null
    else if (!(found instanceof Error)) {
      const { id, deleted } = found as { id: number; deleted: boolean }
      place.id = deleted ? null : id
    }
  }

  async #create(random: Random, place: Place, token: string): Promise<void> {
    const desiredState: DesiredState = random.next() < 0.5 ? 'RUNNING' : 'STOPPED'
    const { via, actor, sdk } = this.#sdk(random, token)
    const flags = flagsOf(random, actor)
    const given: NewExperiment = {
      name: place.name,
      command: this.#options.jobCommand,
      flagStyle: 'environment',
      flags,
      desiredState,
    }
    const command = this.#invoke(actor, via, 'create', place, desiredState)
    await this.#ask(command, place, async () => {
      const { id } = await sdk.create(given)
      place.id = id
      command.experimentId = id
    })
  }

  async #wish(random: Random, place: Place, token: string, state: DesiredState): Promise<void> {
    const { via, actor, sdk } = this.#sdk(random, token)
    const { id } = place
    if (id === null) return
    const command = this.#invoke(actor, via, 'state', place, state)
    await this.#ask(command, place, () => sdk.setDesiredState(id, state, actor))
  }

  async #setFlags(random: Random, place: Place, token: string): Promise<void> {
    const { via, actor, sdk } = this.#sdk(random, token)
    const { id } = place
    if (id === null) return
    const command = this.#invoke(actor, via, 'flags', place, actor)
    await this.#ask(command, place, () => sdk.setFlags(id, flagsOf(random, actor)))
  }

  async #recreate(random: Random, place: Place, token: string): Promise<void> {
    const { via, actor, sdk } = this.#sdk(random, token)
    const { id } = place
    if (id === null) return
    const command = this.#invoke(actor, via, 'delete', place, '')
    await this.#ask(command, place, () => sdk.delete(id))
    if (command.outcome !== 'ok') return
    if (place.id === id) place.id = null
    await this.#create(random, place, `${token}.again`)
  }

  #sdk(random: Random, token: string): { via: string; actor: string; sdk: SkyDeck } {
    const [via, url] = random.pick([...this.#options.apiUrls])
    const actor = `chaos-${token}`
    return { via, actor, sdk: new SkyDeck({ url, actor }) }
  }

  #invoke(token: string, via: string, kind: Command['kind'], { id, name }: Place, value: string): Command {
    const command: Command = {
      token,
      via,
      kind,
      experimentId: kind === 'create' ? null : id,
      name,
      value,
      invokedMs: Date.now(),
      endedMs: null,
      outcome: 'info',
      note: 'no answer',
    }
    this.commands.push(command)
    return command
  }

  /** Waits for the answer with patience, and writes it down whenever it comes. */
  async #ask(command: Command, place: Place, call: () => Promise<unknown>): Promise<void> {
    const answered = this.#answer(command, place, call)
    this.#late.push(within(PATIENCE_MS, answered).catch(() => undefined))
    await within(PATIENCE_MS, answered).catch(() => undefined)
  }

  async #answer(command: Command, place: Place, call: () => Promise<unknown>): Promise<void> {
    const askedFor = place.id
    try {
      await call()
      command.outcome = 'ok'
      command.note = ''
    } catch (error) {
      const status = error instanceof SkyDeckError ? error.status : 0
      command.outcome = status >= 400 && status < 500 ? 'fail' : 'info'
      command.note = `${status} ${error instanceof Error ? error.message : String(error)}`.slice(0, 300)
      if (status === 404 && place.id === askedFor) place.id = null
    }
    command.endedMs = Date.now()
  }
}

/** How long the job lasts, how it ends, how long it takes to go; and the mark by which these flags are known. */
const flagsOf = (random: Random, mark: string): Record<string, string | number> => ({
  chaos_seconds: Number(random.between(3, random.next() < 0.3 ? 40 : 12).toFixed(1)),
  chaos_code: random.next() < 0.15 ? random.int(1, 9) : 0,
  chaos_linger: random.next() < 0.3 ? random.int(1, 4) : 0,
  chaos_mark: mark,
})

/** @throws Error when it takes longer */
async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  const over = new AbortController()
  try {
    return await Promise.race([
      work,
      sleep(ms, undefined, { signal: over.signal }).then(() => {
        throw new Error(`no answer within ${ms} ms`)
      }),
    ])
  } finally {
    over.abort()
  }
}
