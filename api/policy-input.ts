import { z } from '@hono/zod-openapi'
import { DURATION_MAX_MS, type Policy, type PolicyChange, type RestartPolicy } from '../core/policy.ts'

const SECONDS_MAX = DURATION_MAX_MS / 1_000
const AUTOSTOP_MAX_MINUTES = 365 * 24 * 60

const number = (min: number, max: number, must: string) => {
  const error = `must be ${must}`
  return z.coerce.number({ error }).min(min, { error }).max(max, { error })
}
const whole = (min: number, max: number) => {
  const must = `a whole number from ${min} to ${max}`
  return number(min, max, must).int({ error: `must be ${must}` })
}
// The rules count in whole milliseconds.
const seconds = number(0.001, SECONDS_MAX, 'a number of seconds, at most a year')
const oneOf = <const T extends readonly string[]>(words: T) =>
  z.enum(words, `must be one of ${words.join(', ')}`)

export const RESTART_WHEN = ['never', 'on-failure', 'always'] as const
export const RESTART_FAILURES = ['any', 'code', 'infrastructure'] as const
export const DRIFTS = ['heal', 'stop', 'ask'] as const

const RestartInput = z
  .object({
    when: oneOf(RESTART_WHEN),
    failures: oneOf(RESTART_FAILURES).openapi({ description: 'whose failures are tried again' }),
    exit_codes: z
      .array(whole(0, 255))
      .max(256)
      .nullable()
      .openapi({ description: 'only these exit codes of your code; null for any' }),
    max_restarts: whole(0, 10_000).openapi({
      description: 'restarts of one run without a healthy time between',
    }),
    backoff_seconds: seconds.openapi({ description: 'the first pause; it doubles with every quick failure' }),
    backoff_max_seconds: seconds,
    healthy_seconds: seconds.openapi({ description: 'an attempt that ran so long begins the count anew' }),
  })
  .partial()
  .openapi('RestartPolicy')
type RestartInput = z.infer<typeof RestartInput>

/** How SkyDeck treats an experiment. Unlike what it runs, all of this holds at once. */
export const policyFields = {
  restart_policy: RestartInput,
  max_run_seconds: seconds
    .nullable()
    .openapi({ description: 'running time of one attempt; null for no limit' }),
  max_age_seconds: seconds
    .nullable()
    .openapi({ description: 'age of a run, waiting and recovery included; null for no limit' }),
  priority: whole(1, 5).openapi({ description: '1 is started first' }),
  drift: oneOf(DRIFTS).openapi({
    description: 'what to do when somebody else ended or stopped what should run',
  }),
  autostop_minutes: whole(0, AUTOSTOP_MAX_MINUTES)
    .nullable()
    .openapi({ description: 'minutes without a job after which its own cluster stops; null for never' }),
}

const PolicyInput = z.object(policyFields).partial()
type PolicyInput = z.infer<typeof PolicyInput>

/** Leaves out what is undefined, which a type that lets fields be absent does not mean by it. */
const given = <T extends object>(all: { [K in keyof T]-?: T[K] | undefined }): T =>
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- nothing but absent fields is changed
  Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as T

const msOf = (length: number | undefined): number | undefined =>
  length === undefined ? undefined : Math.max(1, Math.round(length * 1_000))
const msOrNull = (length: number | null | undefined): number | null | undefined =>
  length === null ? null : msOf(length)

const restartOf = (input: RestartInput): Partial<RestartPolicy> =>
  given<Partial<RestartPolicy>>({
    when: input.when,
    failures: input.failures,
    exitCodes: input.exit_codes,
    maxRestarts: input.max_restarts,
    backoffMs: msOf(input.backoff_seconds),
    backoffMaxMs: msOf(input.backoff_max_seconds),
    healthyMs: msOf(input.healthy_seconds),
  })

const PRIORITIES = [1, 2, 3, 4, 5] as const

/** What a request changes in a policy; fields that were not given are absent. */
export const policyOf = (input: PolicyInput): PolicyChange =>
  given<PolicyChange>({
    restart: input.restart_policy && restartOf(input.restart_policy),
    maxRunMs: msOrNull(input.max_run_seconds),
    maxAgeMs: msOrNull(input.max_age_seconds),
    priority: PRIORITIES.find((priority) => priority === input.priority),
    drift: input.drift,
    autostopMinutes: input.autostop_minutes,
  })

const duration = z.number().nullable()
export const policyJsonFields = {
  restart_policy: z
    .object({
      when: z.enum(RESTART_WHEN),
      failures: z.enum(RESTART_FAILURES),
      exit_codes: z.array(z.int()).nullable(),
      max_restarts: z.int(),
      backoff_seconds: z.number(),
      backoff_max_seconds: z.number(),
      healthy_seconds: z.number(),
    })
    .openapi('RestartPolicyOfExperiment'),
  max_run_seconds: duration,
  max_age_seconds: duration,
  priority: z.int(),
  drift: z.enum(DRIFTS),
  autostop_minutes: z.int().nullable(),
}

const secondsOrNull = (ms: number | null): number | null => (ms === null ? null : ms / 1_000)

/** A policy as the API shows it, under the names by which it is changed. */
export const policyJson = ({ restart, maxRunMs, maxAgeMs, priority, drift, autostopMinutes }: Policy) => ({
  restart_policy: {
    when: restart.when,
    failures: restart.failures,
    exit_codes: restart.exitCodes === null ? null : [...restart.exitCodes],
    max_restarts: restart.maxRestarts,
    backoff_seconds: restart.backoffMs / 1_000,
    backoff_max_seconds: restart.backoffMaxMs / 1_000,
    healthy_seconds: restart.healthyMs / 1_000,
  },
  max_run_seconds: secondsOrNull(maxRunMs),
  max_age_seconds: secondsOrNull(maxAgeMs),
  priority,
  drift,
  autostop_minutes: autostopMinutes,
})
