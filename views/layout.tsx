import type { Child } from 'hono/jsx'
import type { JSX } from 'hono/jsx/jsx-runtime'
import { sourceFor } from '../core/sight.ts'
import type { SourceView } from './model.ts'
import { Age } from './format.tsx'
import { paths } from './paths.ts'

export interface Frame {
  nowMs: number
  sources: readonly SourceView[]
  temporalUiUrl: string | null
  section: 'experiments' | 'activity'
}

const HTMX_CONFIG = '{"includeIndicatorCSS":false,"defaultTimeout":20000,"extensions":"sse"}'

/** The frame of every page. */
export const Layout = ({
  title,
  frame,
  children,
}: {
  title: string
  frame: Frame
  children: NonNullable<Child>
}): JSX.Element => (
  <html lang="en">
    <head>
      <meta charset="utf-8" />
      <meta name="viewport" content="width=device-width, initial-scale=1" />
      <meta name="color-scheme" content="light dark" />
      <meta name="htmx-config" content={HTMX_CONFIG} />
      <title>{title} · SkyDeck</title>
      <link rel="icon" href={paths.asset('icon.svg')} type="image/svg+xml" />
      <link rel="stylesheet" href={paths.asset('desk.css')} />
      <script src={paths.asset('theme.js')}></script>
      <script src={paths.asset('htmx.js')} defer></script>
      <script src={paths.asset('desk.js')} defer></script>
    </head>
    <body>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <header class="bar">
        <a class="brand" href={paths.list()}>
          <img src={paths.asset('icon.svg')} alt="" width="20" height="20" />
          SkyDeck
        </a>
        <nav aria-label="Pages">
          <a href={paths.list()} aria-current={frame.section === 'experiments' ? 'page' : undefined}>
            Experiments
          </a>
          <a href={paths.activity()} aria-current={frame.section === 'activity' ? 'page' : undefined}>
            Activity
          </a>
          {frame.temporalUiUrl ? (
            <a href={frame.temporalUiUrl} rel="noreferrer">
              Temporal ↗
            </a>
          ) : null}
        </nav>
        <Sources sources={frame.sources} nowMs={frame.nowMs} />
        <button type="button" class="quiet theme" data-theme-toggle title="Light or dark (t)" hidden>
          ◐<span class="hidden"> Light or dark</span>
        </button>
      </header>
      <div id="notice" role="status" aria-live="polite"></div>
      <main id="main">{children}</main>
    </body>
  </html>
)

/** How old our knowledge is, and what is wrong with it. */
export const Sources = ({
  sources,
  nowMs,
}: {
  sources: readonly SourceView[]
  nowMs: number
}): JSX.Element => {
  const skypilot = sourceFor(sources, null)
  return (
    <div id="sources" class={`sources ${skypilot?.error ? 'bad' : ''}`}>
      {skypilot ? <SourceAge source={skypilot} nowMs={nowMs} /> : <span>SkyPilot not looked at yet</span>}
      <form method="post" action={paths.refresh()} hx-post={paths.refresh()} hx-swap="none">
        <button class="quiet" title="Look at SkyPilot now">
          ↻<span class="hidden"> Look at SkyPilot now</span>
        </button>
      </form>
    </div>
  )
}

const SourceAge = ({ source, nowMs }: { source: SourceView; nowMs: number }): JSX.Element => (
  <span title={source.error ?? 'the last look at SkyPilot'}>
    {source.error ? (
      <strong>
        <span aria-hidden="true">? </span>cannot see SkyPilot
      </strong>
    ) : (
      'SkyPilot'
    )}{' '}
    {source.okAtMs === null ? (
      'never seen'
    ) : (
      <>
        seen <Age atMs={source.okAtMs} nowMs={nowMs} />
      </>
    )}
  </span>
)
