import { availableParallelism, homedir } from 'node:os'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { FENCE_MODES, type FenceMode } from '../core/fence.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** Everything a process of SkyDeck can be told from outside. */
export interface Settings {
  home: string
  host: string
  port: number
  logLevel: LogLevel
  pollIntervalMs: number
  reconcileIntervalMs: number
  databaseUrl: string | null
  temporalAddress: string | null
  temporalNamespace: string
  temporalBin: string | null
  temporalUiUrl: string | null
  skypilotEndpoint: string | null
  skypilotToken: string | null
  /** Whether jobs ask for the lease of their attempt before they begin. */
  fenceMode: FenceMode
  /** Under which address jobs reach this desk; without it, or without the secret, the fence is off. */
  fenceUrl: string | null
  /** From which the tokens of jobs are made. */
  fenceSecret: string | null
  /** Launches that SkyPilot is given at once; the others wait for their turn. */
  launchesInFlight: number
  slots: number
  temporalPort: number
  temporalUiPort: number
  skypilotPort: number
  postgresPort: number
  /** The names of the variables that were set, so that a default can be told from a choice. */
  given: ReadonlySet<string>
}

/** What the command line may say; it wins over the environment. */
export interface Options {
  home?: string
  host?: string
  port?: string
  logLevel?: string
}

/** One or more settings cannot be used; every problem is one line of `problems`. */
export class SettingsError extends Error {
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.name = 'SettingsError'
    this.problems = problems
  }
}

type Environment = Record<string, string | undefined>

const port = (fallback: number) => wholeNumber(1, 65_535, fallback).default(fallback)
const text = z.string().min(1)
const orNull = <T extends z.ZodType>(schema: T) => schema.nullable().default(null)

const Variables = z.strictObject({
  SKYDECK_HOME: text.default('~/.skydeck'),
  SKYDECK_HOST: text
    .regex(/^[\w.:-]+$/, 'must be a host name or an address, for example 127.0.0.1')
    .default('127.0.0.1'),
  SKYDECK_PORT: port(7777),
  SKYDECK_LOG_LEVEL: z
    .enum(['debug', 'info', 'warn', 'error'], 'must be one of debug, info, warn, error')
    .default('info'),
  SKYDECK_POLL_INTERVAL: seconds(0.1, 3600, 10).optional(),
  SKYDECK_RECONCILE_INTERVAL: seconds(1, 86_400, 60).default(60_000),
  SKYDECK_DATABASE_URL: orNull(url(['postgres', 'postgresql'], 'postgres://user:password@host:5432/skydeck')),
  TEMPORAL_ADDRESS: orNull(
    text.regex(/^(?:[\w.-]+|\[[0-9a-fA-F:]+\]):\d{1,5}$/, 'must be host:port, for example 127.0.0.1:7233'),
  ),
  TEMPORAL_NAMESPACE: text.default('default'),
  SKYDECK_TEMPORAL_BIN: orNull(text),
  SKYDECK_TEMPORAL_UI_URL: orNull(url(['http', 'https'], 'http://127.0.0.1:8233')),
  SKYPILOT_API_SERVER_ENDPOINT: orNull(url(['http', 'https'], 'http://127.0.0.1:46580')),
  SKYPILOT_SERVICE_ACCOUNT_TOKEN: orNull(text),
  SKYDECK_FENCE: z.enum(FENCE_MODES, `must be one of ${FENCE_MODES.join(', ')}`).default('try'),
  SKYDECK_FENCE_URL: orNull(url(['http', 'https'], 'http://desk.example:7777')),
  SKYDECK_FENCE_SECRET: orNull(z.string().min(16, 'must be at least 16 characters long')),
  SKYDECK_LAUNCHES_IN_FLIGHT: wholeNumber(1, 1_000, 4).default(4),
  SKYDECK_LOCAL_SLOTS: wholeNumber(1, 1024, 4).default(Math.max(2, availableParallelism())),
  SKYDECK_TEMPORAL_PORT: port(7233),
  SKYDECK_TEMPORAL_UI_PORT: port(8233),
  SKYDECK_SKYPILOT_PORT: port(46_580),
  SKYDECK_POSTGRES_PORT: port(54_329),
})

const NAMES = Object.keys(Variables.shape)
const SECRET_NAMES = new Set([
  'SKYDECK_DATABASE_URL',
  'SKYPILOT_SERVICE_ACCOUNT_TOKEN',
  'SKYDECK_FENCE_SECRET',
])
const VARIABLE_OF_OPTION = {
  home: 'SKYDECK_HOME',
  host: 'SKYDECK_HOST',
  port: 'SKYDECK_PORT',
  logLevel: 'SKYDECK_LOG_LEVEL',
} as const
const FLAG_OF_VARIABLE: Record<string, string> = {
  SKYDECK_HOME: '--home',
  SKYDECK_HOST: '--host',
  SKYDECK_PORT: '--port',
  SKYDECK_LOG_LEVEL: '--log-level',
}

/**
 * Reads and checks the settings; the one place of the project that looks at the environment. An empty variable
 * counts as unset. Throws a SettingsError that names every problem at once.
 */
export function readSettings(env: Environment = process.env, overrides: Options = {}): Settings {
  const { raw, fromOptions } = gather(env, overrides)
  const read = Variables.safeParse(raw)
  const problems = misspelt(env)
  for (const issue of read.error?.issues ?? []) problems.push(explain(issue, raw, fromOptions))
  if (!read.success || problems.length > 0) throw new SettingsError(problems)
  return settingsOf(read.data, new Set(Object.keys(raw)), env['HOME'] || homedir())
}

function gather(
  env: Environment,
  overrides: Options,
): { raw: Record<string, string>; fromOptions: Set<string> } {
  const raw: Record<string, string> = {}
  for (const name of NAMES) {
    const value = env[name]?.trim()
    if (value !== undefined && value !== '') raw[name] = value
  }
  const fromOptions = new Set<string>()
  for (const option of ['home', 'host', 'port', 'logLevel'] as const) {
    const value = overrides[option]
    if (value === undefined) continue
    raw[VARIABLE_OF_OPTION[option]] = value
    fromOptions.add(VARIABLE_OF_OPTION[option])
  }
  return { raw, fromOptions }
}

function settingsOf(v: z.infer<typeof Variables>, given: ReadonlySet<string>, userHome: string): Settings {
  const endpoint = v.SKYPILOT_API_SERVER_ENDPOINT
  return {
    home: resolve(v.SKYDECK_HOME.replace(/^~(?=\/|$)/, userHome)),
    host: v.SKYDECK_HOST,
    port: v.SKYDECK_PORT,
    logLevel: v.SKYDECK_LOG_LEVEL,
    pollIntervalMs: v.SKYDECK_POLL_INTERVAL ?? (endpoint === null ? 1000 : 10_000),
    reconcileIntervalMs: v.SKYDECK_RECONCILE_INTERVAL,
    databaseUrl: v.SKYDECK_DATABASE_URL,
    temporalAddress: v.TEMPORAL_ADDRESS,
    temporalNamespace: v.TEMPORAL_NAMESPACE,
    temporalBin: v.SKYDECK_TEMPORAL_BIN,
    temporalUiUrl: v.SKYDECK_TEMPORAL_UI_URL,
    skypilotEndpoint: endpoint,
    skypilotToken: v.SKYPILOT_SERVICE_ACCOUNT_TOKEN,
    fenceMode: v.SKYDECK_FENCE,
    fenceUrl: v.SKYDECK_FENCE_URL,
    fenceSecret: v.SKYDECK_FENCE_SECRET,
    launchesInFlight: v.SKYDECK_LAUNCHES_IN_FLIGHT,
    slots: v.SKYDECK_LOCAL_SLOTS,
    temporalPort: v.SKYDECK_TEMPORAL_PORT,
    temporalUiPort: v.SKYDECK_TEMPORAL_UI_PORT,
    skypilotPort: v.SKYDECK_SKYPILOT_PORT,
    postgresPort: v.SKYDECK_POSTGRES_PORT,
    given,
  }
}

/** The settings as a log may show them: no token, no password. */
export function describeSettings(settings: Settings): Record<string, unknown> {
  const { given, ...rest } = settings
  return {
    ...rest,
    databaseUrl: settings.databaseUrl === null ? null : redactUrl(settings.databaseUrl),
    skypilotEndpoint: settings.skypilotEndpoint === null ? null : redactUrl(settings.skypilotEndpoint),
    skypilotToken: settings.skypilotToken === null ? null : '[redacted]',
    fenceSecret: settings.fenceSecret === null ? null : '[redacted]',
    given: [...given].sort(),
  }
}

/** The same address without what must stay secret in it. */
export function redactUrl(address: string): string {
  if (!URL.canParse(address)) return '[redacted]'
  const shown = new URL(address)
  if (shown.password !== '') shown.password = 'redacted'
  for (const key of shown.searchParams.keys()) {
    if (/pass|secret|token|key/i.test(key)) shown.searchParams.set(key, 'redacted')
  }
  return shown.href.replace(/\/$/, '')
}

const OPTIONS = {
  home: { type: 'string' },
  host: { type: 'string' },
  port: { type: 'string' },
  'log-level': { type: 'string' },
} as const

/** Reads the command line. Throws a SettingsError that lists the options when one is not known. */
export function readOptions(args: readonly string[]): Options {
  try {
    const { values } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: false })
    return {
      ...(values.home === undefined ? {} : { home: values.home }),
      ...(values.host === undefined ? {} : { host: values.host }),
      ...(values.port === undefined ? {} : { port: values.port }),
      ...(values['log-level'] === undefined ? {} : { logLevel: values['log-level'] }),
    }
  } catch (error) {
    const [reason] = (error instanceof Error ? error.message : String(error)).split(/[.\n]\s/)
    const known = Object.keys(OPTIONS)
      .map((name) => `--${name}`)
      .join(', ')
    throw new SettingsError([`${reason}. The options are ${known}.`])
  }
}

function explain(
  issue: z.core.$ZodIssue,
  raw: Record<string, string>,
  fromOptions: ReadonlySet<string>,
): string {
  const name = String(issue.path[0] ?? '?')
  const where = fromOptions.has(name) ? (FLAG_OF_VARIABLE[name] ?? name) : name
  const shown = SECRET_NAMES.has(name) ? '' : ` is ${JSON.stringify(raw[name] ?? '')}, which`
  return `${where}${shown} ${issue.message}. Correct it or leave it out.`
}

/** A name one slip away from a setting would otherwise be ignored without a word. */
function misspelt(env: Environment): string[] {
  const problems: string[] = []
  for (const name of Object.keys(env)) {
    if (!name.startsWith('SKYDECK_') || NAMES.includes(name)) continue
    const meant = NAMES.find((known) => isOneSlipAway(name, known))
    if (meant !== undefined) problems.push(`${name} is not a setting. Did you mean ${meant}?`)
  }
  return problems
}

/** One letter changed, added, left out, or two neighbours swapped. */
function isOneSlipAway(a: string, b: string): boolean {
  if (Math.abs(a.length - b.length) > 1) return false
  let start = 0
  while (start < a.length && a[start] === b[start]) start++
  const restOf = (s: string, skipped: number) => s.slice(start + skipped)
  if (a.length !== b.length)
    return a.length > b.length ? restOf(a, 1) === restOf(b, 0) : restOf(a, 0) === restOf(b, 1)
  const swapped = a[start] === b[start + 1] && a[start + 1] === b[start] && restOf(a, 2) === restOf(b, 2)
  return swapped || restOf(a, 1) === restOf(b, 1)
}

function wholeNumber(min: number, max: number, example: number) {
  return z
    .string()
    .refine(
      (value) => /^\d{1,9}$/.test(value) && Number(value) >= min && Number(value) <= max,
      `must be a whole number from ${min} to ${max}, for example ${example}`,
    )
    .transform(Number)
}

function seconds(min: number, max: number, example: number) {
  return z
    .string()
    .refine(
      (value) => /^\d+(?:\.\d+)?$/.test(value) && Number(value) >= min && Number(value) <= max,
      `must be a number of seconds from ${min} to ${max}, for example ${example}`,
    )
    .transform((value) => Math.round(Number(value) * 1000))
}

function url(schemes: readonly string[], example: string) {
  return z
    .string()
    .refine(
      (value) => URL.canParse(value) && schemes.includes(new URL(value).protocol.slice(0, -1)),
      `must be an address such as ${example}`,
    )
    .transform((value) => value.replace(/\/+$/, ''))
}
