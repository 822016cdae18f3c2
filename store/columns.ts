import { z } from 'zod'
import type { Policy } from '../core/policy.ts'
import { isRecord, type Spec } from '../core/spec.ts'

/** A timestamptz, as ms since the epoch. */
export const timeMs = z.date().transform((date) => date.getTime())
export const timeMsOrNull = z
  .date()
  .nullable()
  .transform((date) => date?.getTime() ?? null)

/** A spec was validated before it was written; here only its kind is looked at. */
export const specColumn = z.custom<Spec>(isRecord, 'not a spec')

/** The same for a policy. */
export const policyColumn = z.custom<Policy>(isRecord, 'not a policy')
