import { Document, parseDocument, Scalar, type ScalarTag, type Tags, visit } from 'yaml'
import { InvalidError } from './errors.ts'

// SkyPilot reads YAML with PyYAML, which follows version 1.1 of the standard in its own way: `yes` is true, `1e5` is text,
// `010` is eight, `1:30` is ninety. These tags read and write exactly so (PyYAML's resolver.py and constructor.py).

/** A float keeps how Python would print it: `1.0` in an environment variable must not become `1`. */
class Float {
  readonly value: number
  constructor(value: number) {
    this.value = value
  }
}

/** A date is no text to PyYAML. It is written back as it came. */
class Timestamp {
  readonly source: string
  constructor(source: string) {
    this.source = source
  }
}

const INTEGER =
  /^(?:[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$/
const FLOAT =
  /^(?:[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$/
const DATE =
  /^(?:\d{4}-\d\d-\d\d|(\d{4})-(\d\d?)-(\d\d?)(?:[Tt]|[ \t]+)(\d\d?):(\d\d):(\d\d)(?:\.(\d*))?(?:[ \t]*(?:(Z)|([-+])(\d\d?)(?::(\d\d))?))?)$/

const tagOf = (name: string, rest: Omit<ScalarTag, 'tag' | 'default'>): ScalarTag => ({
  tag: `tag:yaml.org,2002:${name}`,
  default: true,
  ...rest,
})

const TAGS: ScalarTag[] = [
  tagOf('null', {
    test: /^(?:~|null|Null|NULL|)$/,
    resolve: () => null,
    identify: (value) => value === null,
    stringify: () => 'null',
  }),
  tagOf('bool', {
    test: /^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$/,
    resolve: (text) => /^(?:yes|true|on)$/i.test(text),
    identify: (value) => typeof value === 'boolean',
    stringify: ({ value }) => String(value),
  }),
  tagOf('int', {
    test: INTEGER,
    resolve: integerOf,
    identify: (value) => typeof value === 'bigint' || Number.isSafeInteger(value),
    stringify: ({ value }) => String(value),
  }),
  tagOf('float', {
    test: FLOAT,
    resolve: (text) => new Float(floatOf(text)),
    identify: (value) => typeof value === 'number',
    stringify: ({ value }) => writtenFloat(Number(value)),
  }),
  tagOf('timestamp', {
    test: DATE,
    resolve: (text) => new Timestamp(text),
    identify: (value) => value instanceof Timestamp,
    stringify: ({ value }) => (value instanceof Timestamp ? value.source : String(value)),
  }),
  // PyYAML cannot read a bare `=`.
  tagOf('value', { test: /^=$/, resolve: (text) => text }),
]

/** Text that PyYAML takes for something else, or does not take at all, unless it is quoted and escaped. */
const AWKWARD =
  // eslint-disable-next-line no-control-regex
  /^<<$|^ +\n|^[^\n]*\t[^\n]*$|[\u0000-\u0008\u000b-\u001f\u007f-\u00a0\u2028\u2029\ufeff\ufffe\uffff]/
/** What may stand in quotes by the standard, but not for PyYAML. */
const TO_ESCAPE = /[\u007f-\u00a0\u2028\u2029\ufeff\ufffe\uffff]/g

const SCHEMA = {
  schema: 'failsafe',
  merge: true,
  customTags: (tags: Tags): Tags => [...tags, ...TAGS],
} as const

/**
 * Whether a value at a path is wanted as the text that Python's `str()` makes of it. A path has the keys on the way
 * to the value; places in lists do not count.
 */
export type WantsText = (path: readonly string[], isFloat: boolean) => boolean

/**
 * Reads one YAML document as PyYAML does. Keys become text.
 * @throws InvalidError for what is no YAML, has a key twice, or holds several documents
 */
export function readYaml(text: string, wantsText: WantsText = () => false): unknown {
  const document = parseDocument(text, { ...SCHEMA, uniqueKeys: true, logLevel: 'error' })
  const [problem] = [...document.errors, ...document.warnings]
  if (problem) throw new InvalidError(`not YAML: ${problem.message}`, { cause: problem })
  try {
    return plain(document.toJS({ mapAsMap: true }), [], wantsText)
  } catch (error) {
    throw new InvalidError(`not YAML: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    })
  }
}

/** Writes a value so that PyYAML reads the same. Text of several lines stays readable. */
export function writeYaml(value: unknown): string {
  const document = new Document(value, {
    ...SCHEMA,
    merge: false,
    aliasDuplicateObjects: false,
    compat: 'core',
  })
  visit(document, {
    Scalar: (_, node) => {
      if (typeof node.value === 'string' && AWKWARD.test(node.value)) node.type = Scalar.QUOTE_DOUBLE
    },
  })
  const escape = (letter: string): string => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`
  return document.toString({ lineWidth: 0, nullStr: 'null' }).replaceAll(TO_ESCAPE, escape)
}

function plain(value: unknown, path: readonly string[], wantsText: WantsText): unknown {
  if (value instanceof Map)
    return Object.fromEntries(
      Array.from(value, ([key, each]) => {
        const name = pythonText(key)
        return [name, plain(each, [...path, name], wantsText)]
      }),
    )
  if (Array.isArray(value)) return value.map((each) => plain(each, path, wantsText))
  const isFloat = value instanceof Float
  if (value !== null && value !== undefined && wantsText(path, isFloat)) return pythonText(value)
  return isFloat ? value.value : value
}

/** What `str()` makes of it in Python. */
function pythonText(value: unknown): string {
  if (typeof value === 'string') return value
  if (typeof value === 'boolean') return value ? 'True' : 'False'
  if (value === null) return 'None'
  if (value instanceof Float) return pythonFloat(value.value)
  if (value instanceof Timestamp) return pythonTime(value.source)
  if (typeof value === 'number' || typeof value === 'bigint') return String(value)
  throw new InvalidError('a list or a map stands where text is expected')
}

function integerOf(source: string): number | bigint {
  const text = source.replaceAll('_', '')
  const sign = text.startsWith('-') ? -1n : 1n
  const digits = text.replace(/^[-+]/, '')
  const value = sign * magnitudeOf(digits)
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value
}

function magnitudeOf(digits: string): bigint {
  if (digits.includes(':')) return digits.split(':').reduce((sum, part) => sum * 60n + BigInt(part), 0n)
  if (/^0[0-7]+$/.test(digits)) return BigInt(`0o${digits.slice(1)}`)
  return BigInt(digits)
}

function floatOf(source: string): number {
  const text = source.replaceAll('_', '').toLowerCase()
  const sign = text.startsWith('-') ? -1 : 1
  const digits = text.replace(/^[-+]/, '')
  if (digits === '.inf') return sign * Infinity
  if (digits === '.nan') return NaN
  return sign * digits.split(':').reduce((sum, part) => sum * 60 + Number(part), 0)
}

/** `repr()` of a float: as JavaScript, but with an exponent from 1e16 and below 1e-4, and never without a point. */
function pythonFloat(value: number): string {
  if (!Number.isFinite(value)) return notFinite(value)
  if (Object.is(value, -0)) return '-0.0'
  const [digits = '', exponent = '0'] = value.toExponential().split('e')
  const power = Number(exponent)
  if (power < -4 || power >= 16)
    return `${digits}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`
  const text = String(value)
  return text.includes('.') ? text : `${text}.0`
}

function notFinite(value: number): string {
  if (Number.isNaN(value)) return 'nan'
  return value > 0 ? 'inf' : '-inf'
}

/** PyYAML takes `1e-05` for text: it wants a point. */
function writtenFloat(value: number): string {
  if (!Number.isFinite(value)) return notFinite(value).replace(/^-?/, (sign) => `${sign}.`)
  const text = pythonFloat(value)
  return text.includes('.') ? text : text.replace('e', '.0e')
}

function pythonTime(source: string): string {
  const [, year, month, day, hour, minute, second, fraction, zulu, sign, zoneHour, zoneMinute] =
    DATE.exec(source) ?? []
  if (year === undefined) return source
  const two = (text: string | undefined): string => (text ?? '').padStart(2, '0')
  const micros = (fraction ?? '').slice(0, 6).padEnd(6, '0')
  const zone = zulu ? '+00:00' : sign ? `${sign}${two(zoneHour)}:${two(zoneMinute)}` : ''
  const time = `${two(hour)}:${two(minute)}:${two(second)}${Number(micros) > 0 ? `.${micros}` : ''}`
  return `${year}-${two(month)}-${two(day)} ${time}${zone}`
}
