import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { describe, expect, test } from 'vitest'
import { PHASES, type Phase } from '../../core/explain.ts'
import { DEFAULT_POLICY } from '../../core/policy.ts'
import { asSeen } from '../../core/sight.ts'
import type { Spec } from '../../core/spec.ts'
import { type DetailProps, DetailPage } from '../../views/detail.tsx'
import { ActivityPage } from '../../views/events.tsx'
import { FormPage, PreviewLine } from '../../views/form.tsx'
import type { FormValues } from '../../views/form-values.ts'
import type { Frame } from '../../views/layout.tsx'
import { ListPage } from '../../views/list.tsx'
import { LogPage } from '../../views/log.tsx'
import type { AttemptView, EventView, ExperimentView, OrphanView, QueuedView } from '../../views/model.ts'
import { OrphansPage } from '../../views/orphans.tsx'
import { QueuePage } from '../../views/queue.tsx'
import { Notice, ProblemPage } from '../../views/notice.tsx'

const NOW = 1_800_000_000_000
const HOSTILE = `"><script>alert(1)</script><img src=x onerror=alert(2)>'`

const spec: Spec = {
  executor: 'cluster',
  command: { form: 'template', template: `echo ${HOSTILE} {flags}`, flagStyle: 'key=value' },
  flags: { text: HOSTILE },
  nodes: 2,
  gpus: 8,
  accelerator: HOSTILE,
  cloud: null,
  instanceType: null,
  spot: false,
  setup: HOSTILE,
  envs: { A: HOSTILE },
}
const experiment = (id: number, phase: Phase): ExperimentView => ({
  id,
  name: `exp-${id}-with-a-name-that-is-far-too-long-to-be-shown-whole`,
  description: HOSTILE,
  spec,
  policy: { ...DEFAULT_POLICY, maxRunMs: 5_400_000, maxAgeMs: 86_400_000 },
  owner: HOSTILE,
  desiredState: 'RUNNING',
  desiredGeneration: id,
  desiredActor: HOSTILE,
  desiredReason: HOSTILE,
  desiredAtMs: NOW - 5_000,
  run: 1,
  phase,
  headline: phase,
  headlineSinceMs: NOW - 30_000,
  why: HOSTILE,
  evidence: [HOSTILE, 'job 7: RUNNING'],
  next: HOSTILE,
  nextAtMs: NOW + 90_000,
  heldBy: id % 2 === 0 ? HOSTILE : null,
  heldReason: HOSTILE,
  queue: phase === 'queued' ? { place: 3, of: 12 } : null,
  clusterName: HOSTILE,
  clusterStatus: HOSTILE,
  clusterAutostopMinutes: 30,
  clusterLaunchedAtMs: NOW - 70_000,
  status: HOSTILE,
  jobId: id,
  jobKey: `${id}.1.2`,
  exitCode: 3,
  createdAtMs: NOW - 90_000,
  updatedAtMs: NOW - 4_000,
  deletedAtMs: null,
  seenAtMs: NOW - 1_000,
})
const attempt: AttemptView = {
  run: 1,
  attempt: 2,
  jobName: 'exp-1.1.2',
  jobId: 7,
  clusterName: HOSTILE,
  status: HOSTILE,
  outcome: 'failed',
  blame: 'code',
  exitCode: 3,
  reason: HOSTILE,
  command: HOSTILE,
  recoveries: 2,
  createdAtMs: NOW - 60_000,
  startedAtMs: NOW - 50_000,
  endedAtMs: null,
}
const event: EventView = {
  experimentId: 1,
  experimentName: 'exp',
  seq: 1,
  atMs: NOW - 3_000,
  kind: 'deleted',
  actor: HOSTILE,
  text: HOSTILE,
  isDeleted: true,
}
const frame: Frame = {
  nowMs: NOW,
  sources: [{ name: 'skypilot', triedAtMs: NOW, okAtMs: NOW - 240_000, error: HOSTILE }],
  temporalUiUrl: 'http://127.0.0.1:8233',
  section: 'experiments',
}
const values: FormValues = {
  name: HOSTILE,
  description: HOSTILE,
  command: HOSTILE,
  flag_style: 'key=value',
  flags: HOSTILE,
  nodes: HOSTILE,
  gpus: '0',
  accelerator: '',
  setup: HOSTILE,
  envs: HOSTILE,
  base_command: '',
  tool_path: '',
  git_branch: '',
  cloud: '',
  instance_type: '',
  executor: HOSTILE,
  restart_when: 'on-failure',
  restart_failures: 'any',
  restart_exit_codes: HOSTILE,
  restart_max_restarts: HOSTILE,
  restart_backoff_seconds: HOSTILE,
  restart_backoff_max_seconds: HOSTILE,
  restart_healthy_seconds: HOSTILE,
  max_run_seconds: HOSTILE,
  max_age_seconds: HOSTILE,
  priority: '3',
  drift: 'ask',
  autostop_minutes: HOSTILE,
  spot: true,
  start: true,
}
const detail = (phase: Phase): DetailProps => ({
  frame,
  of: experiment(1, phase),
  attempts: [attempt],
  events: [event],
  workflowUrl: 'http://127.0.0.1:8233/namespaces/default/workflows/experiment-1',
})
const list = {
  frame,
  query: { q: HOSTILE, phase: undefined, isDeleting: false, page: 1 },
  pageSize: 100,
  deleting: 3,
  orphans: 2,
}

const ORPHANS: OrphanView[] = (['job', 'cluster'] as const).map((kind) => ({
  kind,
  key: HOSTILE,
  name: HOSTILE,
  status: HOSTILE,
  detail: HOSTILE,
  firstSeenAtMs: NOW - 90_000,
}))
const QUEUED: QueuedView = {
  id: 1,
  name: HOSTILE,
  owner: HOSTILE,
  priority: 3,
  queuedAtMs: NOW - 60_000,
  why: HOSTILE,
  place: 1,
  of: 7,
}

const PAGES: Record<string, unknown> = {
  'the first run': (
    <ListPage
      {...list}
      query={{ q: '', phase: undefined, isDeleting: false, page: 1 }}
      rows={[]}
      counts={new Map()}
    />
  ),
  'nothing found': (
    <ListPage
      {...list}
      query={{ q: 'x', phase: 'failed', isDeleting: false, page: 1 }}
      rows={[]}
      counts={new Map()}
    />
  ),
  'the list': (
    <ListPage
      {...list}
      rows={PHASES.map((phase, at) => experiment(at + 1, phase))}
      counts={new Map(PHASES.map((phase) => [phase, 200]))}
      deleted={{ id: 99, name: HOSTILE }}
    />
  ),
  'what is being deleted': (
    <ListPage
      {...list}
      query={{ q: HOSTILE, phase: undefined, isDeleting: true, page: 1 }}
      rows={[{ ...experiment(1, 'stopping'), deletedAtMs: NOW - 90_000_000 }]}
      counts={new Map()}
    />
  ),
  'nothing is being deleted': (
    <ListPage
      {...list}
      query={{ q: '', phase: undefined, isDeleting: true, page: 1 }}
      rows={[]}
      counts={new Map()}
    />
  ),
  'one that is being deleted': (
    <DetailPage
      {...detail('stopping')}
      of={{ ...experiment(1, 'stopping'), deletedAtMs: NOW - 90_000_000 }}
    />
  ),
  ...Object.fromEntries(PHASES.map((phase) => [`one that is ${phase}`, <DetailPage {...detail(phase)} />])),
  'one whose page was out of date': <DetailPage {...detail('running')} refusal={HOSTILE} />,
  'one that cannot be seen': (
    <DetailPage
      {...detail('running')}
      of={asSeen({ ...experiment(1, 'running'), evidence: [HOSTILE] }, { to: 'its cluster', sinceMs: NOW })}
    />
  ),
  "nobody's": <OrphansPage frame={frame} orphans={ORPHANS} ended={HOSTILE} />,
  'no orphans': <OrphansPage frame={frame} orphans={[]} ended={null} />,
  'the start queue': <QueuePage frame={frame} queue={[QUEUED, { ...QUEUED, id: 2, place: 2 }]} />,
  'an empty queue': <QueuePage frame={frame} queue={[]} />,
  'a new one': <FormPage frame={frame} values={values} errors={new Map()} editing={null} />,
  'an edit with errors': (
    <FormPage
      frame={frame}
      values={values}
      errors={new Map([['name', HOSTILE]])}
      editing={{ id: 1, name: 'exp' }}
    />
  ),
  'a log': <LogPage frame={frame} name="exp" experimentId={1} lines={[HOSTILE, 'two']} />,
  'the activity': <ActivityPage frame={frame} events={[event]} limit={1} />,
  'a problem': <ProblemPage frame={frame} status={503} detail={HOSTILE} requestId="r" />,
  'a notice': <Notice text={HOSTILE} />,
  'a preview': <PreviewLine line={HOSTILE} problem={HOSTILE} />,
}

/** An element of hono's JSX writes itself. */
// oxlint-disable-next-line typescript/no-base-to-string
const draw = (page: unknown): string => String(page)

const guidance = readFileSync(
  createRequire(import.meta.url)
    .resolve('htmx.org')
    .replace(/dist\/.*$/, 'dist/skills/htmx-guidance.md'),
  'utf8',
)
const attributesOf = (html: string): string[] =>
  [...html.matchAll(/<[a-z][^>]*>/g)].flatMap(([tag]) =>
    [...tag.replaceAll(/"[^"]*"/g, '""').matchAll(/\s([a-z][-:\w]*)/g)].map(([, name]) => name ?? ''),
  )
const valuesOf = (html: string, name: string): string[] =>
  [...html.matchAll(new RegExp(`\\s${name}="([^"]*)"`, 'g'))].map(([, value]) => value ?? '')

describe.each(Object.entries(PAGES))('%s', (_name, page) => {
  const html = draw(page)

  test('shows foreign text as text', () => {
    expect(html).not.toContain('<script>alert')
    expect(html).not.toContain('<img src=x')
  })

  test('keeps to what the content policy allows: nothing inline', () => {
    const attributes = attributesOf(html)
    expect(attributes.filter((name) => /^on|^style$/.test(name))).toEqual([])
    expect([...html.matchAll(/<script(?![^>]*\ssrc=)/g)]).toEqual([])
    expect(html).not.toContain('javascript:')
  })

  test('uses no attribute that htmx does not know', () => {
    const used = attributesOf(html).filter((name) => name.startsWith('hx-'))
    const unknown = used.filter((name) => !guidance.includes(name.split(':', 1)[0] ?? name))
    expect(unknown).toEqual([])
  })

  test('has each id once, and every target that it names', () => {
    const ids = valuesOf(html, 'id')
    expect(ids.filter((id, at) => ids.indexOf(id) !== at)).toEqual([])
    const inside = html.includes('<html')
      ? valuesOf(html, 'hx-target').filter((each) => each.startsWith('#'))
      : []
    expect(inside.filter((target) => !ids.includes(target.slice(1)))).toEqual([])
  })

  test('names every field and every button', () => {
    const labelled = valuesOf(html, 'for')
    const fields = [...html.matchAll(/<(?:input|textarea|select)[^>]*>/g)].map(([tag]) => tag)
    const visible = fields.filter((tag) => !tag.includes('type="hidden"') && !tag.includes('name="start"'))
    const ids = visible.map((tag) => valuesOf(tag, 'id')[0])
    expect(ids.filter((id) => id === undefined || !labelled.includes(id))).toEqual([])
    const buttons = [...html.matchAll(/<button[^>]*>(.*?)<\/button>/gs)].map(([, inner]) => inner ?? '')
    expect(buttons.filter((inner) => inner.replaceAll(/<[^>]*>/g, '').trim().length < 2)).toEqual([])
  })
})

test('a button that cannot be pressed says why', () => {
  const html = draw(<DetailPage {...detail('running')} />)
  expect(html).toMatch(/disabled[^>]*title="RUNNING is wanted already"/)
})

test('both the wanted and the seen state are shown while they differ', () => {
  const stopping = {
    ...detail('stopping'),
    of: { ...experiment(1, 'stopping'), desiredState: 'STOPPED' as const },
  }
  const html = draw(<DetailPage {...stopping} />)
  expect(html).toMatch(/class="status stopping".*STOPPED/s)
})

describe('why it is as it is', () => {
  const drawn = (given: Partial<ExperimentView>): string => {
    const of = { ...experiment(1, 'waiting'), why: 'the sentence', heldBy: null, ...given }
    return draw(<DetailPage {...detail('waiting')} of={of} />)
  }

  test('the headline, the sentence, what comes next and what it rests on are on the page', () => {
    const html = drawn({ headline: 'no-capacity', next: 'wait', evidence: ['tried 6 places'] })
    expect(html).toMatch(/class="tag odd">no capacity<.*the sentence.*30 s ago.*Next.*wait.*in 1 min 30 s/s)
    expect(html).toContain('<li>tried 6 places</li>')
  })

  test('what cannot be seen is told as last seen, and never as failed', () => {
    const blind = asSeen(
      { ...experiment(1, 'running'), evidence: [] },
      { to: 'SkyPilot', sinceMs: NOW - 240_000 },
    )
    const html = draw(<DetailPage {...detail('running')} of={blind} />)
    expect(html).toMatch(/class="status unseen".*last seen running/s)
    expect(html).toMatch(/out of sight.*4 min ago/s)
    expect(html).not.toMatch(/class="status failed/)
    const counts = new Map([['running', 1]])
    const row = draw(<ListPage {...list} rows={[blind]} counts={counts} />)
    expect(row).toMatch(/out of sight<.*4 min ago.*last seen running; SkyPilot has not been seen/s)
  })

  test('a place in the queue leads to the queue', () => {
    expect(drawn({ queue: { place: 3, of: 12 } })).toMatch(/Place 3 of 12 in the <a href="\/queue">/)
  })

  test('the one button of a row stops what may run; another run is asked for on its page', () => {
    const of = { ...experiment(1, 'stopping'), desiredState: 'RUNNING' as const }
    const row = draw(<ListPage {...list} rows={[of]} counts={new Map()} />)
    expect(row).toContain('value="STOPPED"')
    expect(row).not.toContain('value="RUNNING"')
    expect(draw(<DetailPage {...detail('running')} of={of} />)).toMatch(
      /value="RUNNING"(?:(?!<\/form>).)*title="Run again/s,
    )
  })

  test('what is held can be released, in the list too', () => {
    const held = { ...experiment(1, 'running'), heldBy: 'ann' }
    const counts = new Map([['running', 1]])
    const html = draw(<ListPage {...list} orphans={0} rows={[held]} counts={counts} />)
    expect(html).toMatch(/action="\/e\/1\/release".*Release/s)
    expect(html).not.toContain('href="/orphans"')
    expect(drawn({})).toMatch(/action="\/e\/1\/hold".*Hold/s)
  })

  test('what is wrong is said beside the field, and its fold is open', () => {
    const errors = new Map([['max_run_seconds', 'must be a length of time']])
    const html = draw(<FormPage frame={frame} values={values} errors={errors} editing={null} />)
    expect(html).toMatch(/<details open="">\s*<summary>How it is treated/)
    expect(html).toContain('must be a length of time')
  })
})
