import type { JSX } from 'hono/jsx/jsx-runtime'
import type { Phase } from '../core/explain.ts'
import { CANNOT_SEE } from '../core/sight.ts'
import type { DesiredState } from '../core/spec.ts'
import type { ExperimentView } from './model.ts'

/** Shape and word of each phase; colour only repeats them. */
const LOOKS: Readonly<Record<Phase, { mark: string; word: string }>> = {
  idle: { mark: '○', word: 'idle' },
  queued: { mark: '⋮', word: 'queued' },
  starting: { mark: '◔', word: 'starting' },
  waiting: { mark: '◌', word: 'waiting' },
  running: { mark: '●', word: 'running' },
  recovering: { mark: '↻', word: 'recovering' },
  backoff: { mark: '↺', word: 'backing off' },
  stopping: { mark: '◕', word: 'stopping' },
  finishing: { mark: '◑', word: 'finishing' },
  succeeded: { mark: '✓', word: 'done' },
  failed: { mark: '✕', word: 'failed' },
  lost: { mark: '∅', word: 'lost' },
  stopped: { mark: '■', word: 'stopped' },
  terminated: { mark: '□', word: 'terminated' },
}

export const wordOf = (phase: Phase): string => LOOKS[phase].word

export const Mark = ({ phase }: { phase: Phase }): JSX.Element => (
  <span class={`mark ${phase}`} aria-hidden="true">
    {LOOKS[phase].mark}
  </span>
)

const SATISFIES: Readonly<Record<DesiredState, readonly Phase[]>> = {
  RUNNING: ['running', 'succeeded', 'failed', 'lost', 'finishing'],
  STOPPED: ['idle', 'stopped', 'succeeded', 'failed', 'lost'],
  TERMINATED: ['terminated'],
}

/** What is seen; and what is wanted too, but only where the two differ. */
export const Status = ({ of }: { of: ExperimentView }): JSX.Element => {
  const isSeen = of.headline !== CANNOT_SEE
  const { mark, word } = isSeen ? LOOKS[of.phase] : { mark: '?', word: `last seen ${wordOf(of.phase)}` }
  const exit = of.phase === 'failed' && of.exitCode !== null ? ` · exit ${of.exitCode}` : ''
  return (
    <span class={`status ${isSeen ? of.phase : 'unseen'}`}>
      <span class="mark" aria-hidden="true">
        {mark}
      </span>
      <span>
        {word}
        {exit}
      </span>
      {!isSeen || SATISFIES[of.desiredState].includes(of.phase) ? null : (
        <span class="wanted">
          <span aria-hidden="true">→ </span>
          {of.desiredState}
        </span>
      )}
    </span>
  )
}
