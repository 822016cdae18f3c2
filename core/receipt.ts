import type { Experiment } from './experiment.ts'
import { isRecord } from './spec.ts'

/** The answer to a wish: taken, or refused and why. */
export type Receipt =
  | {
      accepted: true
      generation: number
      revision: number
      /** Of an edit: which fields hold at once, and which from the next run on. */
      applies?: { now: string[]; nextRun: string[] }
    }
  | { accepted: false; reason: string }

/** Who wishes, and why: what every wish may carry. */
export interface Envelope {
  actor: string
  reason: string | null
}

const REASON_CHARS_MAX = 500

/** Stands for a message whose bytes cannot be read. Its key holds blanks, so that it is no map of flags either. */
export const UNDECODABLE = { 'cannot be decoded': true } as const

export const isUndecodable = (value: unknown): boolean =>
  isRecord(value) && value['cannot be decoded'] === true

export function refuse(state: Experiment, reason: string): [Experiment, Receipt] {
  return [
    { ...state, badMessages: state.badMessages + 1, lastRefusal: reason },
    { accepted: false, reason },
  ]
}

export function accepted(state: Experiment): [Experiment, Receipt] {
  return [state, { accepted: true, generation: state.desired.generation, revision: state.revision }]
}

const text = (value: unknown): string | null =>
  typeof value === 'string' && value.trim() !== '' ? value.trim().slice(0, REASON_CHARS_MAX) : null

export const envelopeOf = (value: unknown): Envelope =>
  isRecord(value)
    ? { actor: text(value['actor']) ?? 'temporal', reason: text(value['reason']) }
    : { actor: 'temporal', reason: null }
