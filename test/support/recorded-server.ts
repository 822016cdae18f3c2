import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createSkyPilot, type SkyPilot } from '../../skypilot/client.ts'
import { closed } from './recordings.ts'

/** The id that this server gives to every request. */
export const REQUEST_ID = '0f0f0f0f-1111-4222-8333-444444444444'

interface Sent {
  method: string
  path: string
  /** The body, where it is JSON, without the envelope that each call has. */
  body: Record<string, unknown> | null
  bytes: Buffer
}

export interface RecordedServer {
  sky: SkyPilot
  url: string
  sent: Sent[]
  /** Lets the next `/api/get` answer as the real server once did. */
  recorded: (name: string) => void
  /** Lets the next `/api/get` give back this value. */
  returns: (value: unknown) => void
  /** Lets the next `/api/get` tell that the request failed with this exception. */
  fails: (name: string, error: { type: string; message: string }) => void
  /** Answers a path itself, in place of an empty reply with a request id. */
  on: (path: string, answer: (response: ServerResponse, sent: Sent) => void) => void
  close: () => Promise<void>
}

/** A server on loopback that takes all work, and answers with recordings. */
export async function startRecordedServer(): Promise<RecordedServer> {
  const sent: Sent[] = []
  const answers: Array<{ status: number; text: string }> = []
  const direct = new Map<string, (response: ServerResponse, sent: Sent) => void>()
  const server = createServer((request, response) => void reply(request, response))
  async function reply(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const each = await readAll(request)
    sent.push(each)
    response.setHeader('x-skypilot-request-id', REQUEST_ID)
    response.setHeader('content-type', 'application/json')
    const [path = ''] = each.path.split('?')
    const own = direct.get(path)
    if (own) return own(response, each)
    const answer = path === '/api/get' ? answers.shift() : { status: 200, text: 'null' }
    response.writeHead(answer?.status ?? 500).end(answer?.text)
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (typeof address !== 'object' || !address) throw new Error('no port')
  const url = `http://127.0.0.1:${address.port}`
  return {
    url,
    sent,
    sky: createSkyPilot({ endpoint: url, timeoutMs: 5_000, user: { id: 'a1b2c3d4', name: 'me' } }),
    recorded: (name) => {
      const { status, body } = recordingOf(name)
      answers.push({ status, text: JSON.stringify(closed(body)) })
    },
    returns: (value) => {
      const payload = { request_id: REQUEST_ID, name: 'sky.some', status: 'SUCCEEDED', error: 'null' }
      answers.push({ status: 200, text: JSON.stringify({ ...payload, return_value: JSON.stringify(value) }) })
    },
    fails: (name, error) => {
      const payload = { request_id: REQUEST_ID, name, status: 'FAILED', return_value: 'null' }
      const detail = { ...payload, error: JSON.stringify({ object: 'gAROLg==', ...error }) }
      answers.push({ status: 500, text: JSON.stringify({ detail }) })
    },
    on: (path, answer) => void direct.set(path, answer),
    close: () => {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

/** What the real server once answered. */
export function recordingOf(name: string): { status: number; body: unknown } {
  const file = new URL(`../recordings/skypilot/${name}.json`, import.meta.url)
  const { response } = JSON.parse(readFileSync(file, 'utf8')) as {
    response: { status: number; body: unknown }
  }
  return response
}

/** All of a log. */
export async function linesOf(log: AsyncIterable<string>): Promise<string[]> {
  const lines: string[] = []
  for await (const line of log) lines.push(line)
  return lines
}

async function readAll(request: IncomingMessage): Promise<Sent> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const bytes = Buffer.concat(chunks)
  const isJson = request.headers['content-type']?.includes('json') ?? false
  const body = isJson ? (JSON.parse(bytes.toString()) as Record<string, unknown>) : null
  for (const key of ENVELOPE) delete body?.[key]
  return { method: request.method ?? '', path: request.url ?? '', body, bytes }
}

const ENVELOPE = [
  'env_vars',
  'entrypoint',
  'entrypoint_command',
  'using_remote_api_server',
  'override_skypilot_config',
]
