import { InvalidError } from './errors.ts'

/** Checks one value; `at` is its name, such as `resources.cpus`. @throws InvalidError whose message begins with it */
export type Check = (value: unknown, at: string) => void

/** Nothing of these is ever repeated in a message: messages end in logs. */
const PRIVATE = /^(?:secrets|envs|resources\._docker_login_config)\b/

const SHOWN_CHARS_MAX = 80

function show(value: unknown, at: string): string {
  if (value === null || value === undefined) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a map'
  if (PRIVATE.test(at)) return typeof value === 'string' ? 'this text' : `a ${typeof value}`
  if (typeof value === 'string' || typeof value === 'number')
    return JSON.stringify(value).slice(0, SHOWN_CHARS_MAX)
  return typeof value === 'boolean' ? String(value) : `a ${typeof value}`
}

/** The error for a value that is not as it should be. */
export const invalid = (at: string, should: string, value: unknown): InvalidError =>
  new InvalidError(`${at}: should be ${should}, not ${show(value, at)}`)

export const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** A check by a predicate, and by the words for it. */
export const is =
  (should: string, predicate: (value: unknown) => boolean): Check =>
  (value, at) => {
    if (!predicate(value)) throw invalid(at, should, value)
  }

export const text = is('text', (value) => typeof value === 'string')
export const boolean = is('true or false', (value) => typeof value === 'boolean')
export const anyMap = is('a map', isMap)

export const integer = (min: number, max: number = Infinity): Check =>
  is(
    max === Infinity ? `a whole number of at least ${min}` : `a whole number from ${min} to ${max}`,
    (value) => Number.isInteger(value) && Number(value) >= min && Number(value) <= max,
  )

/** Text that follows a pattern, described in words. */
export const pattern = (should: string, expression: RegExp): Check =>
  is(should, (value) => typeof value === 'string' && expression.test(value))

/** One of some words, in capitals or not. */
export const oneOf = (...words: readonly string[]): Check =>
  is(
    `one of ${words.join(', ')}`,
    (value) => typeof value === 'string' && words.includes(value.toLowerCase()),
  )

export const either =
  (should: string, ...checks: readonly Check[]): Check =>
  (value, at) => {
    const passes = checks.some((check) => {
      try {
        check(value, at)
        return true
      } catch {
        return false
      }
    })
    if (!passes) throw invalid(at, should, value)
  }

export const listOf =
  (each: Check, should = 'a list'): Check =>
  (value, at) => {
    if (!Array.isArray(value)) throw invalid(at, should, value)
    value.forEach((item, index) => each(item, `${at}.${index}`))
  }

/** A map whose keys and values are checked alike. */
export const mapOf =
  (each: Check, key?: Check, should = 'a map'): Check =>
  (value, at) => {
    if (!isMap(value)) throw invalid(at, should, value)
    for (const [name, item] of Object.entries(value)) {
      key?.(name, `${at}.${name}`)
      each(item, `${at}.${name}`)
    }
  }

/** A map with fields of its own. Fields that are absent, null or unknown (of a newer server) are let through. */
export const fields =
  (checks: Readonly<Record<string, Check>>, required: readonly string[] = [], should = 'a map'): Check =>
  (value, at) => {
    if (!isMap(value)) throw invalid(at, should, value)
    for (const name of required)
      if (value[name] === undefined || value[name] === null)
        throw new InvalidError(`${at}.${name}: is missing`)
    for (const [name, check] of Object.entries(checks))
      if (value[name] !== undefined && value[name] !== null) check(value[name], `${at}.${name}`)
  }

/** Takes a map as text names it, or as a list of them; any other value is checked by `otherwise`. */
export const whenMap =
  (map: Check, otherwise: Check): Check =>
  (value, at) =>
    isMap(value) ? map(value, at) : otherwise(value, at)
