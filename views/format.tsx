import type { JSX } from 'hono/jsx/jsx-runtime'

type Html = JSX.Element

const MINUTE = 60
const HOUR = 3_600
const DAY = 86_400

/** `12 s`, `4 min`, `3 h 20 min`, `2 d 5 h`: two units at most. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000))
  if (seconds < MINUTE) return `${seconds} s`
  if (seconds < HOUR) return two(Math.floor(seconds / MINUTE), 'min', seconds % MINUTE, 's')
  if (seconds < DAY) return two(Math.floor(seconds / HOUR), 'h', Math.floor((seconds % HOUR) / MINUTE), 'min')
  return two(Math.floor(seconds / DAY), 'd', Math.floor((seconds % DAY) / HOUR), 'h')
}

const two = (large: number, unit: string, small: number, smallUnit: string): string =>
  small === 0 ? `${large} ${unit}` : `${large} ${unit} ${small} ${smallUnit}`

const stamp = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`

/** How long ago something was. The page's script keeps it current; without script it is right at the time of loading. */
export const Age = ({ atMs, nowMs }: { atMs: number; nowMs: number }): Html => (
  <time datetime={new Date(atMs).toISOString()} title={stamp(atMs)} data-age>
    {duration(nowMs - atMs)} ago
  </time>
)

/** How long it is until something happens. Kept current in the same way. */
export const Until = ({ atMs, nowMs }: { atMs: number; nowMs: number }): Html => (
  <time datetime={new Date(atMs).toISOString()} title={stamp(atMs)} data-until>
    in {duration(atMs - nowMs)}
  </time>
)

/** How long something took, or has been going on. */
export const Took = ({ fromMs, toMs, nowMs }: { fromMs: number; toMs: number | null; nowMs: number }): Html =>
  toMs === null ? (
    <time datetime={new Date(fromMs).toISOString()} title={`since ${stamp(fromMs)}`} data-since>
      {duration(nowMs - fromMs)}
    </time>
  ) : (
    <span title={`${stamp(fromMs)} to ${stamp(toMs)}`}>{duration(toMs - fromMs)}</span>
  )

/** A long name keeps its end, which is where names of one series differ. The whole name is there for focus and hover. */
export function MiddleCut({ text, keep = 40 }: { text: string; keep?: number }): Html {
  if (text.length <= keep) return <>{text}</>
  const tail = Math.floor(keep / 2)
  return (
    <span title={text}>
      {text.slice(0, keep - tail - 1)}…{text.slice(-tail)}
    </span>
  )
}
