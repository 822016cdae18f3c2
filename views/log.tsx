import type { JSX } from 'hono/jsx/jsx-runtime'
import { type Frame, Layout } from './layout.tsx'
import { paths } from './paths.ts'

/** So many lines are loaded at once; the whole log is one click away. */
export const LOG_LINES = 500

/** The job's output. The script of the page follows it line by line; without script it is a page of its own. */
export const LogPanel = ({
  experimentId,
  jobKey,
  isLive,
}: {
  experimentId: number
  jobKey: string | null
  isLive: boolean
}): JSX.Element => (
  <section id="log" class="panel log" aria-labelledby="log-title">
    <h2 id="log-title">
      Output {jobKey === null ? null : <a href={paths.log(experimentId)}>open</a>}
      {jobKey === null ? null : (
        <a href={paths.jobLogs(jobKey, {})} download={`job-${jobKey}.log`}>
          download
        </a>
      )}
      <span class="quiet" data-log-state></span>
    </h2>
    {jobKey === null ? (
      <p class="quiet">No job yet, so no output.</p>
    ) : (
      <pre
        class="output"
        tabindex={0}
        aria-label="Output of the job"
        hx-morph-skip
        data-log={paths.jobLogs(jobKey, { follow: String(isLive), tail: String(LOG_LINES) })}
      >
        <noscript>
          <a href={paths.log(experimentId)}>Show the output</a>
        </noscript>
      </pre>
    )}
  </section>
)

/** The last lines as plain text; works without script. */
export const LogPage = ({
  frame,
  name,
  experimentId,
  lines,
}: {
  frame: Frame
  name: string
  experimentId: number
  lines: readonly string[]
}): JSX.Element => (
  <Layout title={`Output of ${name}`} frame={frame}>
    <p class="crumbs">
      <a href={paths.experiment(experimentId)}>{name}</a> <span aria-hidden="true">/</span> output
    </p>
    <p class="quiet">
      The last {lines.length} lines. <a href={paths.log(experimentId)}>newer</a>
    </p>
    <pre class="output whole">{lines.join('\n')}</pre>
  </Layout>
)
