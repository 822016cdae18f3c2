import { readdirSync, readFileSync } from 'node:fs'
import { beforeEach, describe, expect, test } from 'vitest'
import { createSkyPilot } from '../../skypilot/client.ts'
import { InvalidError, SkyPilotError } from '../../skypilot/errors.ts'
import { RESULTS, type RequestKind } from '../../skypilot/results.ts'
import { RequestPayload } from '../../skypilot/schemas.ts'
import { isTerminalJob, isTerminalManaged, isTerminalRequest } from '../../skypilot/statuses.ts'
import { Task } from '../../skypilot/task.ts'
import { closed } from '../support/recordings.ts'

const ID = '0f0f0f0f-1111-4222-8333-444444444444'
const SEED = 20_261_125
const CASES = 10_000
/** To read a task takes longer. */
const TASK_CASES = 2_000

interface Recording {
  name: string
  request: { method: string; path: string }
  response: { status: number; body: unknown }
}
const FOLDER = new URL('../recordings/skypilot/', import.meta.url)
const recordings = readdirSync(FOLDER).map((name): Recording =>
  Object.assign({ name }, JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8')) as Omit<Recording, 'name'>),
)
const results = recordings.filter(({ request }) => request.path.startsWith('/api/get'))
const listings = recordings.filter(
  ({ request, response }) => request.path.startsWith('/api/status') && response.status === 200,
)

let answer: { status: number; text: string }
const sky = createSkyPilot({
  endpoint: 'http://127.0.0.1:9',
  fetch: () =>
    Promise.resolve(
      new Response(answer.text, {
        status: answer.status,
        headers: { 'content-type': 'application/json', 'x-skypilot-request-id': ID },
      }),
    ),
})

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null
const textOf = (body: unknown): string => JSON.stringify(closed(body))
const payloadOf = (body: unknown): RequestPayload | undefined => RequestPayload.safeParse(closed(body)).data
function kindOf({ response }: Recording): RequestKind | undefined {
  const { name = '' } = payloadOf(response.body) ?? {}
  const kind = name.replace(/^sky\./, '')
  return Object.keys(RESULTS).find((each): each is RequestKind => each === kind)
}
const resultOf = (recording: Recording, text: string): Promise<unknown> => {
  answer = { status: recording.response.status, text }
  return sky.requests.attach(ID, kindOf(recording) ?? 'launch').result()
}

describe('what the real server once answered', () => {
  const succeeded = results.filter(({ response }) => payloadOf(response.body)?.status === 'SUCCEEDED')

  test('is all there', () => {
    expect(results.length).toBeGreaterThan(70)
    expect(succeeded.filter((each) => kindOf(each)).length).toBeGreaterThan(50)
    expect(listings).toHaveLength(5)
  })

  test.each(succeeded.filter((each) => kindOf(each)).map((each) => [each.name, each] as const))(
    '%s can be read',
    async (_, recording) => {
      await expect(resultOf(recording, textOf(recording.response.body))).resolves.not.toThrow()
    },
  )

  const others = results.filter((each) => !succeeded.includes(each))
  test.each(others.map((each) => [each.name, each] as const))(
    '%s is an error to act on',
    async (_, recording) => {
      const error = await resultOf(recording, textOf(recording.response.body)).catch((each: unknown) => each)
      expect(error).toBeInstanceOf(SkyPilotError)
      expect(['rejected', 'cancelled', 'not-found', 'unreachable']).toContain((error as SkyPilotError).kind)
    },
  )

  test.each(listings.map((each) => [each.name, each] as const))(
    '%s lists requests',
    async (_, { response }) => {
      answer = { status: 200, text: textOf(response.body) }
      expect(await sky.requests.list()).toHaveLength((response.body as unknown[]).length)
    },
  )
})

/** Reproducible chance (mulberry32). */
function chance(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296) * below)
  }
}

/** Nothing of this is a terminal status, or an id that is in use. */
const JUNK: readonly unknown[] = [
  null,
  true,
  false,
  '',
  'DREAMING',
  'running',
  -1,
  0,
  1.5,
  -1e308,
  9_007_199_254_740_991,
  [],
  {},
  [[]],
  { a: { b: [null] } },
  '\u0000',
  '\ud800',
  'x'.repeat(10_000),
  '2024-01-01',
  '{"a":',
]

type Place = { holder: Record<string, unknown> | unknown[]; key: string }

/** All places of a value where something stands. */
function placesOf(value: unknown, into: Place[] = []): Place[] {
  if (!isObject(value)) return into
  for (const key of Object.keys(value)) {
    into.push({ holder: value, key })
    placesOf(value[key], into)
  }
  return into
}

function mutate(body: unknown, pick: (below: number) => number): unknown {
  const changed: unknown = structuredClone(body)
  for (let count = pick(3); count >= 0; count -= 1) {
    const places = placesOf(changed)
    const place = places[pick(places.length)]
    if (!place) return structuredClone(JUNK[pick(JUNK.length)])
    const holder = place.holder as Record<string, unknown>
    const way = pick(4)
    if (way === 0 && !Array.isArray(place.holder)) delete holder[place.key]
    else if (way === 1 && !Array.isArray(place.holder))
      holder[`extra${pick(9)}`] = structuredClone(JUNK[pick(JUNK.length)])
    else holder[place.key] = structuredClone(JUNK[pick(JUNK.length)])
  }
  return changed
}

/** Every tenth answer is cut off, too. */
const damaged = (text: string, pick: (below: number) => number): string =>
  pick(10) === 0 ? text.slice(0, pick(text.length)) : text

const rowsIn = (value: unknown): unknown[] | undefined => {
  const list = isObject(value) && !Array.isArray(value) ? value['jobs'] : value
  return Array.isArray(list) ? (list as unknown[]) : undefined
}
const parsed = (text: string): unknown => JSON.parse(text) as unknown

/** The rows that the server sent, mutated as they are. */
const rowsSent = (text: string): unknown[] =>
  rowsIn(parsed((parsed(text) as { return_value: string }).return_value)) ?? []

const isOver: Partial<Record<RequestKind, (status: string) => boolean>> = {
  queue: isTerminalJob,
  'jobs.queue_v2': isTerminalManaged,
}

/** Checks that a mutated list of jobs has lost none silently, and has none over that was live. */
function checkJobs(kind: RequestKind, original: unknown, text: string, result: unknown): number {
  const over = isOver[kind]
  if (!over) return 0
  const { jobs, unreadable } = result as {
    jobs: Array<{ jobId: number; status: string }>
    unreadable: number
  }
  const wasOver = new Map<unknown, boolean>()
  for (const row of rowsIn(original) ?? [])
    if (isObject(row)) wasOver.set(row['job_id'], over(String(row['status'])))
  expect(jobs.length + unreadable).toBe(rowsSent(text).length)
  for (const { jobId, status } of jobs) if (over(status)) expect(wasOver.get(jobId)).not.toBe(false)
  return jobs.length
}

/** Clusters that were read, and those that were counted as unreadable. */
function clustersTold(result: unknown): number {
  const { clusters, unreadable } = result as { clusters: unknown[]; unreadable: number }
  return clusters.length + unreadable
}

describe(`${CASES} mutations of what the real server answered`, () => {
  let pick: (below: number) => number
  beforeEach(() => {
    pick = chance(SEED)
  })

  test(
    'no result crashes us, is taken for done when it is not, or hides or ends a live job',
    { timeout: 300_000 },
    async () => {
      const seen = { read: 0, refused: 0, jobs: 0 }
      for (let index = 0; index < CASES; index += 1) {
        const recording = results[pick(results.length)]
        if (!recording) throw new Error('no recordings')
        const text = damaged(textOf(mutate(recording.response.body, pick)), pick)
        let result: unknown
        try {
          result = await resultOf(recording, text)
        } catch (error) {
          if (!(error instanceof SkyPilotError))
            throw new Error(`case ${index}, ${recording.name}`, { cause: error })
          seen.refused += 1
          continue
        }
        seen.read += 1
        const kind = kindOf(recording) ?? 'launch'
        if ((parsed(text) as { status: string }).status !== 'SUCCEEDED')
          throw new Error(`case ${index} is not done`)
        const original = parsed(payloadOf(recording.response.body)?.return_value ?? 'null')
        seen.jobs += checkJobs(kind, original, text, result)
        if (kind === 'status' && clustersTold(result) !== rowsSent(text).length)
          throw new Error(`case ${index} hides a cluster`)
      }
      // The test has seen something of each, or it proves nothing.
      expect(seen.read).toBeGreaterThan(1_000)
      expect(seen.refused).toBeGreaterThan(1_000)
      expect(seen.jobs).toBeGreaterThan(1_000)
    },
  )

  test(
    'no listing of requests crashes us, or hides or ends a live request',
    { timeout: 300_000 },
    async () => {
      let read = 0
      for (let index = 0; index < CASES; index += 1) {
        const { response } = listings[pick(listings.length)] ?? { response: { body: [] } }
        const changed = mutate(response.body, pick)
        answer = { status: 200, text: damaged(textOf(changed), pick) }
        const listed = await sky.requests.list().catch((error: unknown) => {
          if (!(error instanceof SkyPilotError)) throw new Error(`case ${index}`, { cause: error })
          return null
        })
        if (listed === null) continue
        read += listed.length
        if (listed.length !== (changed as unknown[]).length) throw new Error(`case ${index} hides a request`)
        const wasOver = new Map(
          (response.body as Array<{ request_id: string; status: string }>).map((each) => [
            each.request_id,
            isTerminalRequest(each.status),
          ]),
        )
        for (const { requestId, status } of listed)
          if (isTerminalRequest(status) && wasOver.get(requestId) === false)
            throw new Error(`case ${index} ends request ${requestId}`)
      }
      expect(read).toBeGreaterThan(1_000)
    },
  )

  test(
    'no task crashes us, and what we take for one we read from our own YAML again',
    { timeout: 300_000 },
    () => {
      const folder = new URL('../recordings/tasks/', import.meta.url)
      const tasks = readdirSync(folder)
        .filter((name) => name.endsWith('.json') && name !== 'invalid.json')
        .map((name) => (parsed(readFileSync(new URL(name, folder), 'utf8')) as { normal: unknown }).normal)
      let taken = 0
      for (let index = 0; index < TASK_CASES; index += 1) {
        const yaml = damaged(JSON.stringify(mutate(tasks[pick(tasks.length)], pick)), pick)
        let task: Task
        try {
          task = Task.fromYaml(yaml)
        } catch (error) {
          if (error instanceof InvalidError) continue
          throw new Error(`case ${index}: ${yaml}`, { cause: error })
        }
        taken += 1
        const written = task.toYaml()
        if (Task.fromYaml(written).toYaml() !== written) throw new Error(`case ${index}: ${yaml}`)
      }
      expect(taken).toBeGreaterThan(200)
      expect(taken).toBeLessThan(TASK_CASES - 200)
    },
  )
})
