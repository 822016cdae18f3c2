import { type Context, Hono } from 'hono'
import type { JSX } from 'hono/jsx/jsx-runtime'
import { type SSEStreamingApi, streamSSE } from 'hono/streaming'
import { isLive } from '../core/phases.ts'
import { listOrphans } from '../store/fleet.ts'
import { getDeleted } from '../store/experiments.ts'
import { changeOf, type Change, type Listener } from '../store/listen.ts'
import { listQueue } from '../store/queue.ts'
import { Attempts, Config, Summary } from '../views/detail.tsx'
import { EventList } from '../views/events.tsx'
import { Sources } from '../views/layout.tsx'
import { type ListQuery, Row, Rows, Strip } from '../views/list.tsx'
import { LogPanel } from '../views/log.tsx'
import { Partial } from '../views/notice.tsx'
import { Orphans } from '../views/orphans.tsx'
import { Queue } from '../views/queue.tsx'
import { detailProps, frameOf, listProps, listQueryOf, type PageDeps, QUEUE_SHOWN } from './page-data.ts'
import type { Desk } from './desk.ts'
import { Problem } from './problem.ts'

const PING_MS = 15_000
const STREAMS_MAX = 200

/** A page is told at most so often: what changes in between is told once. */
const EVERY_MS = 150

export interface EventsDeps extends PageDeps {
  desk: Desk
  changes: Listener
}

/** A part of a page: where it goes, what it is made of, and how to draw it. It is sent when what it is made of changed. */
interface Part {
  target: string
  made: unknown
  swap?: 'outerMorph' | 'outerHTML'
  draw: () => JSX.Element
}

/** One stream a page. A message is the changed parts of it; what is sent first is what the page may have missed. */
export function eventStreams(deps: EventsDeps): Hono {
  const app = new Hono()
  let open = 0

  function send(
    c: Context,
    concerns: (change: Change) => boolean,
    parts: () => Promise<Part[]>,
    sent: Map<string, string>,
  ): Response {
    if (open >= STREAMS_MAX)
      throw new Problem(503, `there are ${STREAMS_MAX} open pages; close some, or reload by hand`)
    return streamSSE(c, async (stream) => {
      open += 1
      try {
        await follow(stream, deps.changes, concerns, parts, sent)
      } finally {
        open -= 1
      }
    })
  }

  app.get('/events', (c) => {
    const query = listQueryOf(c.req.query())
    return send(c, everything, () => listParts(deps, query), new Map())
  })
  app.get('/queue/events', (c) => send(c, everything, () => queueParts(deps), new Map()))
  app.get('/orphans/events', (c) => send(c, everything, () => orphanParts(deps), new Map()))
  app.get('/e/:id/events', async (c) => {
    const { id } = await deps.desk.find(c.req.param('id'))
    const concerns = (change: Change): boolean => change.kind !== 'experiments' || change.ids.includes(id)
    // The log of the job that the page shows already must not begin anew.
    const sent = new Map([['#log', JSON.stringify(c.req.query('job') ?? null)]])
    return send(c, concerns, () => experimentParts(deps, id), sent)
  })
  return app
}

const sourcesPart = (frame: Parameters<typeof Sources>[0]): Part => ({
  target: '#sources',
  made: frame.sources,
  draw: () => <Sources sources={frame.sources} nowMs={frame.nowMs} />,
})

const everything = (): boolean => true

async function listParts(deps: EventsDeps, query: ListQuery): Promise<Part[]> {
  const props = await listProps(deps, query)
  const { frame, rows, counts, deleting, orphans } = props
  return [
    sourcesPart(frame),
    {
      target: '#strip',
      made: [[...counts], deleting, orphans],
      draw: () => <Strip {...props} />,
    },
    { target: '#rows', made: rows.map(({ id }) => id), draw: () => <Rows {...props} /> },
    ...rows.map((row) => ({
      target: `#e-${row.id}`,
      made: row,
      draw: () => <Row of={row} nowMs={frame.nowMs} />,
    })),
  ]
}

async function queueParts(deps: EventsDeps): Promise<Part[]> {
  const [frame, queue] = await Promise.all([frameOf(deps), listQueue(deps.db, QUEUE_SHOWN)])
  return [
    sourcesPart(frame),
    { target: '#queue', made: queue, draw: () => <Queue queue={queue} nowMs={frame.nowMs} /> },
  ]
}

async function orphanParts(deps: EventsDeps): Promise<Part[]> {
  const [frame, orphans] = await Promise.all([frameOf(deps), listOrphans(deps.db)])
  // That one was seen again is no news.
  const made = orphans.map(({ kind, key, name, status, detail }) => [kind, key, name, status, detail])
  return [
    sourcesPart(frame),
    { target: '#orphans', made, draw: () => <Orphans orphans={orphans} nowMs={frame.nowMs} /> },
  ]
}

async function experimentParts(deps: EventsDeps, id: number): Promise<Part[]> {
  // A page that is open while the last of a deleted one goes says so, and does not stop in the middle.
  const row = (await getDeleted(deps.db, String(id))) ?? (await deps.desk.find(String(id)))
  const props = await detailProps(deps, row)
  const { frame, of, attempts, events, workflowUrl } = props
  const { nowMs } = frame
  return [
    sourcesPart(frame),
    { target: '#summary', made: [of, attempts[0]], draw: () => <Summary {...props} /> },
    {
      target: '#log',
      made: of.jobKey,
      swap: 'outerHTML',
      draw: () => <LogPanel experimentId={id} jobKey={of.jobKey} isLive={isLive(of.phase)} />,
    },
    { target: '#attempts', made: attempts, draw: () => <Attempts attempts={attempts} nowMs={nowMs} /> },
    {
      target: '#config',
      made: [of.spec, of.policy, of.name, of.deletedAtMs],
      draw: () => <Config of={of} workflowUrl={workflowUrl} />,
    },
    {
      target: '#events',
      made: events.length && events[0],
      draw: () => <EventList events={events} nowMs={nowMs} />,
    },
  ]
}

/** Sends what has changed, whenever something may have, until the page goes away. */
async function follow(
  stream: SSEStreamingApi,
  changes: Listener,
  concerns: (change: Change) => boolean,
  parts: () => Promise<Part[]>,
  sent: Map<string, string>,
): Promise<void> {
  let wake = Promise.withResolvers<void>()
  const stop = changes.subscribe((payload) => {
    if (concerns(changeOf(payload))) wake.resolve()
  })
  stream.onAbort(() => wake.resolve())
  // What is told may change by the clock alone: nobody says that nothing was seen.
  const ping = setInterval(() => {
    void stream.write(': ping\n\n')
    wake.resolve()
  }, PING_MS)
  try {
    for (let count = 1; !stream.aborted; count += 1) {
      const changed = news(sent, await parts())
      if (changed.length > 0) await stream.writeSSE({ id: String(count), data: drawn(changed) })
      await wake.promise
      wake = Promise.withResolvers<void>()
      await stream.sleep(EVERY_MS)
    }
  } finally {
    clearInterval(ping)
    stop()
  }
}

/** The parts that are not as they were sent last. When the whole table goes, its rows go with it. */
function news(sent: Map<string, string>, parts: readonly Part[]): Part[] {
  const changed = parts.filter(({ target, made }) => {
    const print = JSON.stringify(made)
    const isNew = sent.get(target) !== print
    sent.set(target, print)
    return isNew
  })
  const isWhole = changed.some(({ target }) => target === '#rows')
  return isWhole ? changed.filter(({ target }) => !target.startsWith('#e-')) : changed
}

function drawn(parts: readonly Part[]): string {
  const pieces = parts.map(({ target, swap, draw }) => (
    <Partial target={target} swap={swap ?? 'outerMorph'}>
      {draw()}
    </Partial>
  ))
  // oxlint-disable-next-line typescript/no-base-to-string -- an element of hono's JSX writes itself as HTML
  return pieces.map(String).join('')
}
