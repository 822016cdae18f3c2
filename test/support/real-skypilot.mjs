/* oxlint-disable typescript/no-unsafe-assignment, typescript/no-unsafe-call, typescript/no-unsafe-argument */
/* oxlint-disable typescript/no-unsafe-member-access, typescript/no-unsafe-return */

// A real SkyPilot API server for a run of the tests, brought up beside the other tests and taken down at the end.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const SCRIPT = fileURLToPath(new URL('real-skypilot.sh', import.meta.url))
/** Packages come in one to two minutes; a slow mirror gets more, a hung one does not get the whole run. */
const START_S = 12 * 60
const LOOK_MS = 500

/**
 * Begins to start it, without what earlier runs left behind, or says why this machine cannot have one. `folder` is
 * where its output goes.
 * @returns {{ ready(): Promise<{ endpoint?: string, why?: string }>, stop(): void }}
 */
export function startRealSkyPilot(folder) {
  const why = whyNot()
  if (why !== undefined) return { ready: () => Promise.resolve({ why }), stop: () => undefined }
  const [url, log, code] = ['url', 'log', 'code'].map((name) => join(folder, `real-skypilot.${name}`))
  const bounded = `bash "$0" wipe; timeout ${START_S} bash "$0" start > "$1" 2> "$2"; echo $? > "$3"`
  spawn('bash', ['-c', bounded, SCRIPT, url, log, code], { stdio: 'ignore' })
  return {
    async ready() {
      while (read(code) === '') await sleep(LOOK_MS)
      if (read(code) === '0') return { endpoint: read(url).split('\n').at(-1) }
      return { why: `its start failed: ${read(log).split('\n').slice(-3).join(' | ')}` }
    },
    stop: () => void spawnSync('bash', [SCRIPT, 'stop'], { stdio: 'ignore' }),
  }
}

function whyNot() {
  if (process.getuid?.() !== 0) return 'that needs root'
  if (!existsSync('/etc/debian_version')) return 'that needs Debian'
  return undefined
}

const read = (path) => (existsSync(path) ? readFileSync(path, 'utf8').trim() : '')
