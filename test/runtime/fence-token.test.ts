import { describe, expect, it } from 'vitest'
import { readSettings, SettingsError } from '../../runtime/env.ts'
import { fenceOf, fenceToken, isFenceToken } from '../../runtime/fence-token.ts'

const secret = 'a secret of the desk'
const of = { experimentId: 7, run: 2, attempt: 1 }

describe('the token of an attempt', () => {
  it('is HMAC-SHA256 of the attempt in base64url', () => {
    // printf 7.2.1 | openssl dgst -sha256 -hmac 'a secret of the desk' -binary | basenc --base64url
    expect(fenceToken(secret, of)).toBe('HiEd_JEEsEmL0235rDmBjADKdEcrk2yWWtIbS8XVZQ8')
    expect(isFenceToken(secret, of, fenceToken(secret, of))).toBe(true)
  })

  it.each([{ experimentId: 8 }, { run: 3 }, { attempt: 2 }, { experimentId: 72, run: 1 }])(
    'is of no use for another: %o',
    (other) => {
      expect(isFenceToken(secret, { ...of, ...other }, fenceToken(secret, of))).toBe(false)
    },
  )

  it('is not known without the secret', () => {
    expect(isFenceToken(secret, of, fenceToken('another secret!!', of))).toBe(false)
    for (const guess of ['', 'x', `${fenceToken(secret, of)}x`])
      expect(isFenceToken(secret, of, guess)).toBe(false)
  })
})

describe('the fence of a desk', () => {
  const whole = { SKYDECK_FENCE_URL: 'http://desk:7777/', SKYDECK_FENCE_SECRET: '0123456789abcdef' }

  it('is tried where jobs know how to reach the desk', () => {
    const url = 'http://desk:7777'
    expect(fenceOf(readSettings(whole))).toEqual({ mode: 'try', url, secret: '0123456789abcdef' })
    expect(fenceOf(readSettings({ ...whole, SKYDECK_FENCE: 'require' }))).toMatchObject({ mode: 'require' })
  })

  it('is off where they do not, or where nobody wants it', () => {
    expect(fenceOf(readSettings({}))).toBeNull()
    expect(fenceOf(readSettings({ ...whole, SKYDECK_FENCE: 'off' }))).toBeNull()
    expect(fenceOf(readSettings({ SKYDECK_FENCE_URL: 'http://desk:7777' }))).toBeNull()
  })

  it('is not silently off where it is required', () => {
    expect(() => fenceOf(readSettings({ SKYDECK_FENCE: 'require' }))).toThrow(SettingsError)
  })
})
