import { randomBytes } from 'node:crypto'
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * The secret from which the tokens of jobs are made. Made once and kept in the home, for its owner only: jobs that
 * outlive a restart must still be known after it.
 */
export function fenceSecret(home: string): string {
  const file = join(home, 'fence-secret')
  const kept = read(file)
  if (kept !== undefined) return kept
  const draft = `${file}.${process.pid}`
  writeFileSync(draft, randomBytes(32).toString('base64url'), { mode: 0o600 })
  try {
    // A link shows the file whole or not at all, and fails where another starter was quicker.
    linkSync(draft, file)
  } catch (error) {
    if (read(file) === undefined) throw error
  } finally {
    rmSync(draft, { force: true })
  }
  return readFileSync(file, 'utf8')
}

function read(file: string): string | undefined {
  try {
    const secret = readFileSync(file, 'utf8').trim()
    return secret === '' ? undefined : secret
  } catch {
    return undefined
  }
}
