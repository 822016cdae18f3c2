import type { JSX } from 'hono/jsx/jsx-runtime'
import { Age } from './format.tsx'
import { type Frame, Layout } from './layout.tsx'
import type { EventView } from './model.ts'
import { paths } from './paths.ts'
import { Undelete } from './verbs.tsx'

/** What happened, newest first. */
export const EventList = ({
  events,
  nowMs,
  withNames = false,
}: {
  events: readonly EventView[]
  nowMs: number
  withNames?: boolean
}): JSX.Element => (
  <section id="events" class="panel" aria-labelledby="events-title">
    <h2 id="events-title">What happened</h2>
    <ol class="events">
      {events.map((event) => (
        <li class={event.kind}>
          <Age atMs={event.atMs} nowMs={nowMs} />
          <span>
            {withNames ? (
              <>
                {event.isDeleted ? (
                  <s>{event.experimentName}</s>
                ) : (
                  <a href={paths.experiment(event.experimentId)}>{event.experimentName}</a>
                )}{' '}
              </>
            ) : null}
            {event.text} {event.actor === 'skydeck' ? null : <span class="quiet">by {event.actor}</span>}
            {withNames && event.isDeleted && event.kind === 'deleted' ? (
              <>
                {' '}
                <Undelete id={event.experimentId} name={event.experimentName} />
              </>
            ) : null}
          </span>
        </li>
      ))}
    </ol>
    {events.length === 0 ? <p class="quiet">Nothing yet.</p> : null}
  </section>
)

export const ActivityPage = ({
  frame,
  events,
  limit,
}: {
  frame: Frame
  events: readonly EventView[]
  limit: number
}): JSX.Element => (
  <Layout title="Activity" frame={frame}>
    <h1>Activity</h1>
    <EventList events={events} nowMs={frame.nowMs} withNames />
    {events.length === limit ? (
      <p class="quiet">The newest {limit}; each experiment's page has its own.</p>
    ) : null}
  </Layout>
)
