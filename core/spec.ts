/** What a person may wish for an experiment. */
export type DesiredState = 'RUNNING' | 'STOPPED' | 'TERMINATED'
export const DESIRED_STATES: readonly DesiredState[] = ['RUNNING', 'STOPPED', 'TERMINATED']

export type FlagValue = string | number | boolean
export type Flags = Readonly<Record<string, FlagValue>>

/** How a flag becomes arguments of a command template. `environment` puts it into the job's environment instead. */
export type FlagStyle = 'key=value' | '--key value' | '--key=value' | 'environment'
export const FLAG_STYLES: readonly FlagStyle[] = ['key=value', '--key value', '--key=value', 'environment']

/**
 * What an experiment runs. `launcher` is the rule of the original SkyDeck (a launcher program that gets
 * `--gpus --nodes run=NAME key=value`); `template` is any command line with placeholders.
 */
export type Command =
  | { form: 'launcher'; baseCommand: string; toolPath: string | null; gitBranch: string | null }
  | { form: 'template'; template: string; flagStyle: FlagStyle }

/**
 * Through what an experiment runs: `managed` is a SkyPilot managed job, whose machines come and go with it; `cluster`
 * is one cluster of the experiment's own, which can be stopped, keeps its disk and takes one job after the other.
 */
export type Executor = 'managed' | 'cluster'
export const EXECUTORS: readonly Executor[] = ['managed', 'cluster']

/** Everything that decides what is submitted, apart from the identity of the attempt. A change takes effect at the next run. */
export interface Spec {
  executor: Executor
  command: Command
  flags: Flags
  nodes: number
  gpus: number
  /** SkyPilot's name of the accelerator, such as `H100`; null where any GPU will do. */
  accelerator: string | null
  cloud: string | null
  instanceType: string | null
  spot: boolean
  setup: string | null
  envs: Readonly<Record<string, string>>
}

export const NODES_MAX = 1_000
export const GPUS_MAX = 1_024
export const FLAGS_MAX = 1_000
export const FLAG_KEY_CHARS_MAX = 256
export const FLAG_VALUE_CHARS_MAX = 8_192

/** A spec travels in every message and in the state of a workflow, whose payloads have a limit of 2 MiB. */
export const SPEC_CHARS_MAX = 65_536

/** Says that a spec is too long to be carried, or nothing. */
export const whyTooLong = (spec: unknown): string | undefined => {
  const chars = JSON.stringify(spec).length
  return chars > SPEC_CHARS_MAX
    ? `what the experiment runs is ${chars} characters long in all, and may be ${SPEC_CHARS_MAX}: put long scripts into a file`
    : undefined
}

/** SkyPilot's rule for names of jobs and clusters (`CLUSTER_NAME_VALID_REGEX`), with room for our suffix. */
export const NAME_PATTERN = /^[a-zA-Z](?:[-_.a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$/

export const isName = (text: string): boolean => NAME_PATTERN.test(text)

export const isDesiredState = (value: unknown): value is DesiredState =>
  DESIRED_STATES.some((state) => state === value)

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Says what is wrong with a map of flags, or nothing. Keys become words of a command line, so they may hold no blank. */
export function whyNotFlags(value: unknown): string | undefined {
  if (!isRecord(value)) return 'flags must be an object such as {"learning_rate": 0.001}'
  const entries = Object.entries(value)
  if (entries.length > FLAGS_MAX) return `at most ${FLAGS_MAX} flags, these are ${entries.length}`
  for (const [key, flag] of entries) {
    if (!/^[a-zA-Z_][-a-zA-Z0-9_.[\]+@/]*$/.test(key) || key.length > FLAG_KEY_CHARS_MAX)
      return `flag name ${JSON.stringify(key.slice(0, 80))} must start with a letter or _ and hold letters, digits and _ . - [ ] + @ / only`
    const why = whyNotFlagValue(flag)
    if (why) return `flag ${key}: ${why}`
  }
  return undefined
}

function whyNotFlagValue(flag: unknown): string | undefined {
  if (typeof flag === 'boolean') return undefined
  if (typeof flag === 'number') return Number.isFinite(flag) ? undefined : 'not a finite number'
  if (typeof flag !== 'string') return 'must be text, a number, true or false'
  if (flag.length > FLAG_VALUE_CHARS_MAX) return `longer than ${FLAG_VALUE_CHARS_MAX} characters`
  return flag.includes('\0') ? 'holds a NUL character, which no command line can carry' : undefined
}

export const isFlags = (value: unknown): value is Flags => whyNotFlags(value) === undefined
