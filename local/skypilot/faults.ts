import { z } from 'zod'

/**
 * How the server can be told to misbehave, for tests.
 *
 * Of the wire:
 * - `drop-before`, `drop-after`: the connection breaks before or after the effect
 * - `delay`: the answer is late; `hold`: the request waits before its effect
 * - `status`: an error answer before the effect; `truncate`: half an answer; `login-page`: a web page with status 200
 * - `version-bump`: another API version in headers and health, and perhaps no word with older clients
 *
 * Of listings (managed jobs, clusters, jobs of a cluster):
 * - `stale`: as it was when the fault was set, or `versions` changes ago, but not before the fault was set
 * - `wrong-scope`: only what belongs to others; `empty`; `partial`: every second row; `duplicate`: every row twice
 * - `unknown-status`: a status that nobody knows
 *
 * Of the cloud, by `name` of job or cluster:
 * - `preempt`: the machine of a running managed job is lost
 * - `no-capacity`: a job or cluster waits until the faults are replaced; `no-resource`: it is refused
 * - `slow-cancel`: a cancelled job is CANCELLING for `delayMs` at least
 */
export const Fault = z.strictObject({
  /** The path must begin with this. Says nothing for faults of the cloud. */
  match: z.string().default('/'),
  /** Which job, cluster or service: its name, where `*` stands for any text. */
  name: z.string().optional(),
  kind: z.enum([
    'drop-before',
    'drop-after',
    'delay',
    'hold',
    'status',
    'truncate',
    'login-page',
    'version-bump',
    'stale',
    'wrong-scope',
    'empty',
    'partial',
    'duplicate',
    'unknown-status',
    'preempt',
    'no-capacity',
    'no-resource',
    'slow-cancel',
  ]),
  status: z.int().min(400).max(599).default(500),
  delayMs: z.int().min(0).max(3_600_000).default(1_000),
  /** How many changes old a stale listing is. */
  versions: z.int().min(1).max(50).optional(),
  /** For `version-bump`: what the server says it speaks, and the oldest client that it serves. */
  apiVersion: z.string().regex(/^\d+$/).default('999'),
  minVersion: z.int().min(0).default(0),
  /** So often, then never again; without it for ever. */
  times: z.int().min(1).optional(),
})
export type Fault = z.infer<typeof Fault>
export type FaultGiven = z.input<typeof Fault>
type Kind = Fault['kind']

/** A row of any listing, as far as faults change it. */
interface Listed {
  status: string
  user_hash: string
}

const LISTING: readonly Kind[] = ['stale', 'wrong-scope', 'empty', 'partial', 'duplicate', 'unknown-status']
const PAST_MAX = 60

export class Faults {
  #all: Array<Fault & { left: number }> = []
  /** How often the faults were replaced. */
  round = 0

  /** Replaces all faults. */
  set(faults: readonly Fault[]): void {
    this.round += 1
    this.#all = faults.map((fault) => ({ ...fault, left: fault.times ?? Number.POSITIVE_INFINITY }))
  }

  list(): Fault[] {
    return this.#all.filter(({ left }) => left > 0).map(({ left: _left, ...fault }) => fault)
  }

  /** Whether any fault asks for a name, so that bodies must be read. */
  get needNames(): boolean {
    return this.#all.some(({ name, left }) => name !== undefined && left > 0)
  }

  /** Takes the next fault of one of these kinds for a path, and counts it. */
  take(path: string, kinds: readonly Kind[], name?: string): Fault | undefined {
    const fault = this.#all.find(
      (given) =>
        given.left > 0 &&
        kinds.includes(given.kind) &&
        path.startsWith(given.match) &&
        isNamed(given.name, name),
    )
    if (fault) fault.left -= 1
    return fault
  }

  /** Takes the next fault of the cloud for a job or a cluster, and counts it. */
  takeFor(name: string, kind: Kind): Fault | undefined {
    const fault = this.#all.find(
      (given) => given.left > 0 && given.kind === kind && isNamed(given.name, name),
    )
    if (fault) fault.left -= 1
    return fault
  }

  /** Whether this very fault has not been replaced since. */
  stands(fault: Fault): boolean {
    return this.#all.some((given) => given === fault)
  }

  /** Whether any listing may be asked how it was. */
  get isAnyStale(): boolean {
    return this.#all.some(({ kind, left }) => kind === 'stale' && left > 0)
  }
}

/** What can be listed, and how it was before each change since a stale fault was set. */
export class Listing<T extends Listed> {
  readonly #faults: Faults
  readonly #read: () => readonly T[]
  #past: Array<readonly T[]> = []
  #round = 0

  constructor(faults: Faults, read: () => readonly T[]) {
    this.#faults = faults
    this.#read = read
  }

  /** To be called before each change of what is listed. */
  remember(): void {
    if (!this.#faults.isAnyStale) return
    this.#forgetEarlier()
    this.#past.push(this.#read())
    // The first is how it was when the fault was set.
    if (this.#past.length > PAST_MAX) this.#past.splice(1, 1)
  }

  /** The rows, as a server tells them that is told to misbehave. */
  rows(path: string, userId: string): readonly T[] {
    const fault = this.#faults.take(path, LISTING)
    const rows = this.#read()
    if (fault === undefined) return rows
    if (fault.kind === 'wrong-scope') return rows.filter(({ user_hash: owner }) => owner !== userId)
    if (fault.kind === 'empty') return []
    if (fault.kind === 'partial') return rows.filter((_row, at) => at % 2 === 1)
    if (fault.kind === 'duplicate') return rows.flatMap((row) => [row, row])
    if (fault.kind === 'unknown-status') return rows.map((row) => ({ ...row, status: 'HIBERNATING' }))
    return this.#before(fault.versions) ?? rows
  }

  #before(versions: number | undefined): readonly T[] | undefined {
    this.#forgetEarlier()
    return this.#past[versions === undefined ? 0 : Math.max(0, this.#past.length - versions)]
  }

  /** What was remembered for faults that have been replaced. */
  #forgetEarlier(): void {
    if (this.#round === this.#faults.round) return
    this.#round = this.#faults.round
    this.#past = []
  }
}

function isNamed(pattern: string | undefined, name: string | undefined): boolean {
  if (pattern === undefined) return true
  if (name === undefined) return false
  const parts = pattern.split('*').map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, String.raw`\$&`))
  return new RegExp(`^${parts.join('.*')}$`, 's').test(name)
}
