import { isRecord } from './spec.ts'

/** What follows the end of an attempt while RUNNING is wanted. */
export interface RestartPolicy {
  when: 'never' | 'on-failure' | 'always'
  /** Whose failures are tried again under `on-failure`. */
  failures: 'any' | 'code' | 'infrastructure'
  /** Only these exit codes of the person's code; null for any. */
  exitCodes: readonly number[] | null
  /** Restarts of one run. An attempt that was healthy begins the count anew. */
  maxRestarts: number
  backoffMs: number
  backoffMaxMs: number
  /** An attempt that ran so long was healthy: what follows it is a new story. */
  healthyMs: number
}

/** What is done when somebody else ended or stopped what should run: put it right, stop wanting it, or wait for a person. */
export type DriftPolicy = 'heal' | 'stop' | 'ask'

/** 1 is served first. */
export type Priority = 1 | 2 | 3 | 4 | 5

/** How SkyDeck treats an experiment. Unlike the spec it holds at once, also for what runs. */
export interface Policy {
  restart: RestartPolicy
  /** Running time of one attempt; null for no limit. */
  maxRunMs: number | null
  /** Age of a run from the wish on, waiting and recovery included; null for no limit. */
  maxAgeMs: number | null
  priority: Priority
  drift: DriftPolicy
  /** Minutes without a job after which the experiment's own cluster stops itself; null for never. */
  autostopMinutes: number | null
}

export const DEFAULT_POLICY: Policy = {
  restart: {
    when: 'never',
    failures: 'any',
    exitCodes: null,
    maxRestarts: 10,
    backoffMs: 10_000,
    backoffMaxMs: 600_000,
    healthyMs: 600_000,
  },
  maxRunMs: null,
  maxAgeMs: null,
  priority: 3,
  drift: 'ask',
  autostopMinutes: 30,
}

export const DURATION_MAX_MS = 365 * 24 * 3_600_000
const AUTOSTOP_MAX_MINUTES = 365 * 24 * 60
const EXIT_CODES_MAX = 256

const isDuration = (value: unknown): boolean =>
  Number.isSafeInteger(value) && Number(value) >= 1 && Number(value) <= DURATION_MAX_MS
const isWhole = (value: unknown, min: number, max: number): boolean =>
  Number.isInteger(value) && Number(value) >= min && Number(value) <= max
const orNull =
  (fits: (value: unknown) => boolean) =>
  (value: unknown): boolean =>
    value === null || fits(value)
const oneOf =
  (...words: readonly string[]) =>
  (value: unknown): boolean =>
    words.some((word) => word === value)

type Check = readonly [fits: (value: unknown) => boolean, must: string]

const RESTART: Readonly<Record<keyof RestartPolicy, Check>> = {
  when: [oneOf('never', 'on-failure', 'always'), 'be never, on-failure or always'],
  failures: [oneOf('any', 'code', 'infrastructure'), 'be any, code or infrastructure'],
  exitCodes: [
    orNull(
      (codes) =>
        Array.isArray(codes) &&
        codes.length <= EXIT_CODES_MAX &&
        codes.every((code) => isWhole(code, 0, 255)),
    ),
    'be a list of exit codes from 0 to 255, or null for any',
  ],
  maxRestarts: [(value) => isWhole(value, 0, 10_000), 'be a whole number from 0 to 10000'],
  backoffMs: [isDuration, 'be milliseconds from 1 to a year'],
  backoffMaxMs: [isDuration, 'be milliseconds from 1 to a year'],
  healthyMs: [isDuration, 'be milliseconds from 1 to a year'],
}

const POLICY: Readonly<Record<keyof Policy, Check>> = {
  restart: [isRecord, 'be an object'],
  maxRunMs: [orNull(isDuration), 'be milliseconds from 1 to a year, or null for no limit'],
  maxAgeMs: [orNull(isDuration), 'be milliseconds from 1 to a year, or null for no limit'],
  priority: [(value) => isWhole(value, 1, 5), 'be a whole number from 1 (first) to 5'],
  drift: [oneOf('heal', 'stop', 'ask'), 'be heal, stop or ask'],
  autostopMinutes: [
    orNull((value) => isWhole(value, 0, AUTOSTOP_MAX_MINUTES)),
    'be whole minutes, or null for never',
  ],
}

function whyNot(checks: Readonly<Record<string, Check>>, value: object): string | undefined {
  for (const [key, field] of Object.entries(value)) {
    const check = Object.hasOwn(checks, key) ? checks[key] : undefined
    if (!check) return `a policy has no field ${JSON.stringify(key.slice(0, 80))}`
    const [fits, must] = check
    if (!fits(field)) return `${key} must ${must}`
  }
  return undefined
}

/** Says what is wrong with a change of a policy, field by field, or nothing. What is not given is not looked at. */
export function whyNotPolicy(value: unknown): string | undefined {
  if (!isRecord(value)) return 'a policy must be an object such as {"priority": 1}'
  return whyNot(POLICY, value) ?? (isRecord(value['restart']) ? whyNot(RESTART, value['restart']) : undefined)
}

export type PolicyChange = Partial<Omit<Policy, 'restart'>> & { restart?: Partial<RestartPolicy> }

export const isPolicyChange = (value: unknown): value is PolicyChange => whyNotPolicy(value) === undefined

/** The policy with a change in it; what the change does not name stays. */
export const changedPolicy = (policy: Policy, change: PolicyChange): Policy => ({
  ...policy,
  ...change,
  restart: { ...policy.restart, ...change.restart },
})
