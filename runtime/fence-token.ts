import { createHmac, timingSafeEqual } from 'node:crypto'
import type { FenceMode } from '../core/fence.ts'
import { type Settings, SettingsError } from './env.ts'

/** Which attempt a token is for. */
export interface FencedAttempt {
  experimentId: number
  run: number
  attempt: number
}

/** What shows that a job is one of this attempt. Made from the attempt alone, so that no table has to be asked. */
export const fenceToken = (secret: string, of: FencedAttempt): string =>
  createHmac('sha256', secret).update(`${of.experimentId}.${of.run}.${of.attempt}`).digest('base64url')

/** Takes the same time whatever is wrong with the token, so that it cannot be guessed letter by letter. */
export function isFenceToken(secret: string, of: FencedAttempt, token: string): boolean {
  const right = Buffer.from(fenceToken(secret, of))
  const given = Buffer.from(token)
  return right.length === given.length && timingSafeEqual(right, given)
}

/** How jobs are fenced: where the desk is for them, and by what their tokens are made. */
export interface FenceSettings {
  mode: Exclude<FenceMode, 'off'>
  url: string
  secret: string
}

/**
 * The fence as it can be had: null where it is off, or where jobs were not told how to reach the desk.
 * @throws SettingsError when it is required and something of it is missing
 */
export function fenceOf(
  settings: Pick<Settings, 'fenceMode' | 'fenceUrl' | 'fenceSecret'>,
): FenceSettings | null {
  const { fenceMode: mode, fenceUrl: url, fenceSecret: secret } = settings
  if (mode === 'off') return null
  if (url !== null && secret !== null) return { mode, url, secret }
  if (mode === 'try') return null
  throw new SettingsError([
    'SKYDECK_FENCE is "require", which needs SKYDECK_FENCE_URL (where jobs reach this desk) and SKYDECK_FENCE_SECRET. Set both, or choose try or off.',
  ])
}
