import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow'

/** What an entity workflow cannot do without: a little state, a message of each kind, and a way to go on for ever. */
export interface BareState {
  desired: string
  generation: number
  flags: Record<string, number>
}

export const bareSet = defineUpdate<number, [string]>('set')
export const barePoke = defineSignal<[string]>('poke')
export const bareState = defineQuery<BareState>('state')
