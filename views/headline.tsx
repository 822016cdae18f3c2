import type { JSX } from 'hono/jsx/jsx-runtime'
import type { Headline } from '../core/headline.ts'
import { CANNOT_SEE } from '../core/sight.ts'
import { Age, Until } from './format.tsx'
import type { ExperimentView } from './model.ts'
import { paths } from './paths.ts'
import { wordOf } from './status.tsx'

type Told = Headline | typeof CANNOT_SEE

/** What a person must do something about. */
const BAD: ReadonlySet<string> = new Set<Told>([
  'two-jobs',
  'not-authorised',
  'cannot-stop',
  'foreign-duplicate',
  'limit',
  'crash-loop',
  'drift',
  'lost',
  'refused',
  'setup-failed',
  'code-failed',
  'machines-failed',
])

/** What may pass by itself, and is worth a look if it does not. */
const ODD: ReadonlySet<string> = new Set<Told>([
  CANNOT_SEE,
  'held',
  'skypilot-unreachable',
  'action-failing',
  'overdue',
  'launch-unsure',
  'no-capacity',
  'backoff',
])

const WORDS: Readonly<Record<string, string>> = {
  'cannot-see': 'out of sight',
  'skypilot-unreachable': 'SkyPilot unreachable',
  'waiting-for-skypilot': 'waiting for SkyPilot',
  'code-failed': 'your code failed',
  'action-failing': 'SkyPilot refuses',
  'launch-unsure': 'launch unsure',
  backoff: 'pause before restart',
  limit: 'limit reached',
  drift: "not SkyDeck's doing",
  'foreign-duplicate': "somebody else's job",
} satisfies Partial<Record<Told, string>>

/** The headline in words; SkyDeck's own words hold dashes where people write blanks. */
export const headlineWords = (headline: string): string => WORDS[headline] ?? headline.replaceAll('-', ' ')

const rank = (headline: string): string => {
  if (BAD.has(headline)) return 'bad'
  return ODD.has(headline) ? 'odd' : ''
}

/** The headline as a label before the sentence, each only where it says more than what stands beside it. */
export const ShortWhy = ({ of, nowMs }: { of: ExperimentView; nowMs: number }): JSX.Element => {
  const isSaid = of.headline === of.phase || headlineWords(of.headline) === wordOf(of.phase)
  return (
    <>
      {isSaid ? null : <b class={`tag ${rank(of.headline)}`}>{headlineWords(of.headline)}</b>}{' '}
      {of.headline === CANNOT_SEE ? (
        <>
          <Age atMs={of.headlineSinceMs} nowMs={nowMs} />:{' '}
        </>
      ) : null}
      {of.queue === null ? '' : `place ${of.queue.place} of ${of.queue.of}: `}
      {isSaid ? of.why : sentenceOf(of)}
    </>
  )
}

const sentenceOf = ({ headline, why }: ExperimentView): string => (why === headlineWords(headline) ? '' : why)

/** Why it is as it is: the word, the sentence, since when, what that rests on, and what comes next. */
export const Why = ({ of, nowMs }: { of: ExperimentView; nowMs: number }): JSX.Element => (
  <div class="headline">
    <p>
      <b class={`tag ${rank(of.headline)}`}>{headlineWords(of.headline)}</b> {sentenceOf(of)}{' '}
      <span class="since">
        <Age atMs={of.headlineSinceMs} nowMs={nowMs} />
      </span>
    </p>
    {of.queue === null ? null : (
      <p>
        Place {of.queue.place} of {of.queue.of} in the <a href={paths.queue()}>start queue</a>.
      </p>
    )}
    {of.next === null ? null : (
      <p class="next">
        <span class="label">Next</span> {of.next}
        {of.nextAtMs !== null && of.nextAtMs > nowMs ? (
          <>
            , <Until atMs={of.nextAtMs} nowMs={nowMs} />
          </>
        ) : null}
      </p>
    )}
    {of.evidence.length === 0 ? null : (
      <ul class="evidence" aria-label="What that rests on">
        {of.evidence.map((line) => (
          <li>{line}</li>
        ))}
      </ul>
    )}
  </div>
)
