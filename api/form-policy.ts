import { DEFAULT_POLICY, type Policy } from '../core/policy.ts'
import type { Executor } from '../core/spec.ts'
import type { FormValues, POLICY_FIELDS } from '../views/form-values.ts'

type PolicyValues = Pick<FormValues, (typeof POLICY_FIELDS)[number]>

const UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

/** Writes a length of time in full, so that reading it back gives the same. */
export function writeDuration(ms: number): string {
  let left = ms
  const parts: string[] = []
  for (const [unit, size] of Object.entries(UNITS_MS).toReversed()) {
    const count = Math.floor(left / size)
    if (count > 0) parts.push(`${count} ${unit}`)
    left -= count * size
  }
  return parts.join(' ') || '0 s'
}

/** Reads `90 min`, `2 h 30 min`, `1.5 d`. @throws RangeError that says what it should look like */
export function readDuration(text: string): number {
  const pieces = [...text.matchAll(/(\d+(?:\.\d+)?)\s*([a-z]+)/gi)]
  const isWhole = text.replaceAll(/\d+(?:\.\d+)?\s*[a-z]+/gi, '').trim() === ''
  const sizes = pieces.map(([, count, unit]) => Number(count) * (UNITS_MS[short(unit ?? '')] ?? Number.NaN))
  const ms = sizes.reduce((sum, size) => sum + size, 0)
  if (!isWhole || pieces.length === 0 || Number.isNaN(ms))
    throw new RangeError('must be a length of time, such as 90 min or 2 h 30 min')
  return ms
}

/** `m` and `hours` are what people type, too. */
const short = (unit: string): string => {
  const word = unit.toLowerCase()
  if (word === 'ms') return word
  if (/^m(?:in.*)?$/.test(word)) return 'min'
  return /^(?:s|sec.*|h|hours?|d|days?)$/.test(word) ? word.slice(0, 1) : word
}

const numberOrEmpty = (value: number | null): string => (value === null ? '' : String(value))
const durationOrEmpty = (ms: number | null): string => (ms === null ? '' : writeDuration(ms))

/** A policy as it stands in the form. */
export function policyValues(policy: Policy, executor: Executor): PolicyValues {
  const { restart } = policy
  return {
    executor,
    restart_when: restart.when,
    restart_failures: restart.failures,
    restart_exit_codes: (restart.exitCodes ?? []).join(', '),
    restart_max_restarts: String(restart.maxRestarts),
    restart_backoff_seconds: writeDuration(restart.backoffMs),
    restart_backoff_max_seconds: writeDuration(restart.backoffMaxMs),
    restart_healthy_seconds: writeDuration(restart.healthyMs),
    max_run_seconds: durationOrEmpty(policy.maxRunMs),
    max_age_seconds: durationOrEmpty(policy.maxAgeMs),
    priority: String(policy.priority),
    drift: policy.drift,
    autostop_minutes: numberOrEmpty(policy.autostopMinutes),
  }
}

export const DEFAULT_POLICY_VALUES = policyValues(DEFAULT_POLICY, 'managed')

type Read = <T>(field: keyof PolicyValues, read: (text: string) => T) => T | undefined

const seconds = (text: string): number => readDuration(text) / 1_000
const exitCodes = (text: string): number[] => text.split(/[\s,;]+/).map((word) => readCode(word))

function readCode(word: string): number {
  if (/^\d{1,3}$/.test(word)) return Number(word)
  throw new RangeError('must be exit codes such as 1, 137')
}

/** The same body that a JSON client would send. `read` notes what cannot be read under the name of its field. */
export function policyBody(values: PolicyValues, read: Read): Record<string, unknown> {
  const orNull = <T>(field: keyof PolicyValues, how: (text: string) => T): T | null | undefined =>
    values[field].trim() === '' ? null : read(field, how)
  return {
    executor: values.executor,
    restart_policy: {
      when: values.restart_when,
      failures: values.restart_failures,
      exit_codes: orNull('restart_exit_codes', exitCodes),
      max_restarts: values.restart_max_restarts,
      backoff_seconds: read('restart_backoff_seconds', seconds),
      backoff_max_seconds: read('restart_backoff_max_seconds', seconds),
      healthy_seconds: read('restart_healthy_seconds', seconds),
    },
    max_run_seconds: orNull('max_run_seconds', seconds),
    max_age_seconds: orNull('max_age_seconds', seconds),
    priority: values.priority,
    drift: values.drift,
    autostop_minutes: orNull('autostop_minutes', (text) => text),
  }
}
