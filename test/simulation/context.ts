import type { Engine, Steps } from './engine.ts'
import type { Faults, Protections } from './faults.ts'
import type { Random } from './random.ts'

/** One effect on SkyPilot, written down as it happens: the truth that everything is compared with. */
export interface Entry {
  kind: 'post' | 'job' | 'look' | 'cancel' | 'change' | 'fenced'
  /** The name of the job, or of the cluster. */
  name: string
  atMs: number
  text: string
}

/** Everything that was done to SkyPilot, by name. */
export class Ledger {
  readonly counts = { post: 0, job: 0, look: 0, cancel: 0, change: 0, fenced: 0 }
  readonly #byName = new Map<string, Entry[]>()

  add(entry: Entry): void {
    this.counts[entry.kind] += 1
    const known = this.#byName.get(entry.name)
    if (known) known.push(entry)
    else this.#byName.set(entry.name, [entry])
  }

  of(name: string): readonly Entry[] {
    return this.#byName.get(name) ?? []
  }
}

/** What all parts of the simulated world share. */
export interface Context {
  engine: Engine
  random: Random
  /** Replaced as a whole when the world is healed. */
  faults: Faults
  protections: Protections
  ledger: Ledger
  /** Something of this experiment has changed, so its invariants are checked after this event. */
  touched: (name: string) => void
  /** A broken invariant found where it happens. */
  violated: (invariant: string, text: string) => void
}

export function note(context: Context, entry: Omit<Entry, 'atMs'>): void {
  context.ledger.add({ ...entry, atMs: context.engine.nowMs })
  context.engine.trace(`${entry.kind} ${entry.name} ${entry.text}`)
  context.touched(entry.name)
}

export type ErrorKind = 'unreachable' | 'timeout' | 'rejected' | 'not-found' | 'cancelled' | 'protocol'

/** An error as SkyDeck's client of SkyPilot throws it. */
export class SkyError extends Error {
  readonly kind: ErrorKind
  readonly exceptionName: string | null

  constructor(kind: ErrorKind, message: string, exceptionName: string | null = null) {
    super(message)
    this.kind = kind
    this.exceptionName = exceptionName
  }
}

/** Calls a callback as work that takes no time: for places that take either. */
export function* instantly<T>(work: () => T): Steps<T> {
  yield 0
  return work()
}
