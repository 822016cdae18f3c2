import { readdirSync, readFileSync } from 'node:fs'
import { stripVTControlCharacters } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TestSkyPilot } from './skypilot-client.ts'

interface Recording {
  request: { method: string; path: string; headers: Record<string, string>; body: unknown }
  response: { status: number; headers: Record<string, string>; body: unknown }
}

const FOLDER = new URL('../recordings/skypilot/', import.meta.url)
const FILES = readdirSync(FOLDER)
const read = (file: string): Recording => JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8')) as Recording

/** Calls that answer with a request whose result is fetched by a second call. */
const PAIRS = FILES.filter((file) =>
  /^(?:jobs_(?:launch|queue_v2|cancel|events|wait)|(?:queue|job_status)\.(?:unknown|ok|latest)|down\.unknown|status\.(?:unknown|empty-body|none|one-no-handle|summary)|launch\.(?:bad|infeasible-cpus)|cluster_events\.1|cost_report\.1|cancel\.(?:ok|again)|optimize|autostop)[^]*\.?1-post\.json$/.test(
    file,
  ),
).filter((file) => FILES.includes(second(file)))
const SINGLE = FILES.filter((file) =>
  /^(?:health|404|api_get\.404|api_status\.|status\.(?:too-old|newer|bad-version|client-chosen|empty-env)|graceful\.post)/.test(
    file,
  ),
)
const LOGS = FILES.filter((file) => /^jobs_logs\.(?:terminal-[568])/.test(file))

function second(file: string): string {
  return file.replace('1-post', '2-get')
}

/** Headers by which clients steer; the others belong to the web server. */
const HEADERS = ['x-skypilot-request-id', 'x-skypilot-api-version', 'x-skypilot-version'] as const

const JSON_STRING = '__json_string__'
const SEEDS = ['mf-ok', 'ok', 'duplicate', 'inflight', 'mf-run', 'mf-setup', 'mf-infeasible', 'mf-ok']

let sky: TestSkyPilot

beforeAll(async () => {
  sky = await new TestSkyPilot().start()
  // The recordings tell of these jobs under these numbers; their lists would be empty without.
  for (const name of SEEDS) await replay(read(`jobs_launch.${name}.1-post.json`))
  await sky.until(2, 'RUNNING')
  await sky.until(6, 'FAILED_SETUP')
  await sky.until(5, 'FAILED')
  await sky.until(7, 'FAILED_PRECHECKS')
  // A cluster, and two jobs on it.
  for (const file of ['launch.ok.1-post.json', 'exec.ok.1-post.json']) {
    const asked = await replay(read(file))
    await sky.payload(asked.headers.get('x-skypilot-request-id') ?? '')
  }
  for (const id of [1, 8]) await sky.until(id, 'SUCCEEDED')
})
afterAll(() => sky.dispose())

const replay = ({ request }: Recording, path = request.path): Promise<Response> =>
  fetch(`${sky.url}${path}`, {
    method: request.method,
    headers: request.headers,
    ...(request.body === null ? {} : { body: JSON.stringify(request.body) }),
  })

function expectSameAnswer(ours: Response, { response }: Recording): void {
  expect(ours.status).toBe(response.status)
  for (const header of HEADERS)
    expect([header, ours.headers.has(header)]).toEqual([header, header in response.headers])
  const type = response.headers['content-type']?.split(';')[0]
  if (type !== undefined) expect(ours.headers.get('content-type')).toContain(type)
}

const bodyOf = async (answer: Response): Promise<unknown> =>
  answer.headers.get('content-type')?.includes('json') ? answer.json() : answer.text()

/** Says where two values differ in shape. `null` stands for a value that is absent, whatever its type. */
function differences(ours: unknown, theirs: unknown, at = ''): string[] {
  if (ours === null || theirs === null) return []
  if (isJsonString(theirs))
    return typeof ours === 'string'
      ? differences(JSON.parse(ours), theirs[JSON_STRING], `${at}!`)
      : [`${at}: not a string of JSON`]
  if (typeOf(ours) !== typeOf(theirs)) return [`${at}: ${typeOf(ours)} in place of ${typeOf(theirs)}`]
  // An absent element says nothing about the others: it is null by the rule above.
  if (Array.isArray(ours)) return differences(ours[0] ?? null, (theirs as unknown[])[0] ?? null, `${at}[]`)
  if (typeof ours !== 'object') return []
  return keysDiffer(ours as Record<string, unknown>, theirs as Record<string, unknown>, at)
}

const typeOf = (value: unknown): string => (Array.isArray(value) ? 'array' : typeof value)

function keysDiffer(ours: Record<string, unknown>, theirs: Record<string, unknown>, at: string): string[] {
  // The keys of these are data.
  if (/status_counts$|internal_services$|metadata$|input$/.test(at)) return []
  const keys = [...new Set([...Object.keys(ours), ...Object.keys(theirs)])]
  return keys.flatMap((key) => {
    if (!(key in ours)) return [`${at}.${key} is missing`]
    if (!(key in theirs)) return [`${at}.${key} is not in the recording`]
    return differences(ours[key], theirs[key], `${at}.${key}`)
  })
}

/** How the recordings write a string that holds JSON. */
const isJsonString = (value: unknown): value is { [JSON_STRING]: unknown } =>
  typeof value === 'object' && value !== null && JSON_STRING in value

describe('answers have the shape of those of a real server', () => {
  test('there are recordings', () => {
    expect(PAIRS.length).toBeGreaterThan(15)
    expect(SINGLE.length).toBeGreaterThan(8)
    expect(LOGS).toHaveLength(3)
  })

  test.each(SINGLE)('%s', async (file) => {
    const recorded = read(file)
    const ours = await replay(recorded)
    expectSameAnswer(ours, recorded)
    expect(differences(await bodyOf(ours), recorded.response.body)).toEqual([])
  })

  test.each(PAIRS)('%s and its result', async (file) => {
    const posted = read(file)
    const ours = await replay(posted)
    expectSameAnswer(ours, posted)
    expect(await bodyOf(ours)).toBe(posted.response.body)
    const got = read(second(file))
    const result = await replay(got, `/api/get?request_id=${ours.headers.get('x-skypilot-request-id')}`)
    expectSameAnswer(result, got)
    expect(differences(await bodyOf(result), got.response.body)).toEqual([])
  })

  test.each(LOGS)('%s', async (file) => {
    const recorded = read(file)
    const ours = await replay(recorded)
    expectSameAnswer(ours, recorded)
    const text = await ours.text()
    for (const pattern of [
      /Waiting for task resources/,
      /Job started\./,
      /\(mf-\w+, pid=\d+\) /,
      /✓ Job finished \(status: \w+\)\./,
    ])
      if (pattern.test(plain(recorded.response.body))) expect(text).toMatch(pattern)
  })

  test('why a job failed is said in the same words', async () => {
    const failures = read('jobs_queue_v2.failures.2-get.json')
    const theirs = JSON.stringify(failures.response.body)
    for (const [id, words] of [
      [
        5,
        'Job exited with exit code 7 (user program failure). To see the details, run: sky jobs logs --controller ',
      ],
      [
        6,
        'Job failed (FAILED_SETUP) (user program failure). To see the details, run: sky jobs logs --controller ',
      ],
    ] as const) {
      expect(theirs).toContain(words)
      expect((await sky.job(id)).failure_reason).toBe(`${words}${id}`)
    }
  })
})

const plain = (text: unknown): string => stripVTControlCharacters(String(text))
