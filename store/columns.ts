import { z } from 'zod'
import { isRecord, type Spec } from '../core/spec.ts'

/** A timestamptz, as ms since the epoch. */
export const timeMs = z.date().transform((date) => date.getTime())
export const timeMsOrNull = z
  .date()
  .nullable()
  .transform((date) => date?.getTime() ?? null)

/** A spec was validated before it was written; here only its kind is looked at. */
export const specColumn = z.custom<Spec>(isRecord, 'not a spec')

export const dateOrNull = (ms: number | null): Date | null => (ms === null ? null : new Date(ms))
