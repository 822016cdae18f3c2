import pg from 'pg'
import { z } from 'zod'
import { AttemptRow, EventRow, ExperimentRow, type Reverted } from './evidence.ts'

const CONNECT_MS = 3_000
const QUERY_MS = 10_000
const SAMPLE_MS = 500

/** What the tables hold. */
export interface Tables {
  experiments: ExperimentRow[]
  attempts: AttemptRow[]
  events: EventRow[]
}

/** Reads all of the tables. @throws Error when Postgres is away */
export function readTables(databaseUrl: string): Promise<Tables> {
  return withClient(databaseUrl, async (client) => {
    const rows = async <T>(schema: z.ZodType<T>, sql: string): Promise<T[]> =>
      z.array(schema).parse((await client.query(sql)).rows)
    return {
      experiments: await rows(ExperimentRow, 'select * from experiment order by id'),
      attempts: await rows(AttemptRow, 'select * from attempt order by experiment_id, run, attempt'),
      events: await rows(EventRow, 'select * from event order by experiment_id, seq'),
    }
  })
}

async function withClient<T>(databaseUrl: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({
    connectionString: databaseUrl,
    connectionTimeoutMillis: CONNECT_MS,
    query_timeout: QUERY_MS,
    application_name: 'chaos',
  })
  client.on('error', () => undefined)
  try {
    await client.connect()
    return await work(client)
  } finally {
    await client.end().catch(() => undefined)
  }
}

const Sample = z.object({
  revisions: z.array(z.object({ id: z.int(), revision: z.int(), events: z.int() })),
  endings: z.array(z.object({ key: z.string(), experiment: z.int(), ending: z.string() })),
  ok_at: z.date().nullable(),
})
export type Sample = z.infer<typeof Sample>

const SAMPLE = `select
  (select coalesce(json_agg(json_build_object('id', id, 'revision', revision,
     'events', (select count(*) from event where experiment_id = experiment.id))), '[]') from experiment) as revisions,
  (select coalesce(json_agg(json_build_object('key', job_name || ' job ' || coalesce(job_id::text, 'none'),
     'experiment', experiment_id, 'ending', status || ' ' || outcome)), '[]')
     from attempt where phase = 'ended' and outcome is not null) as endings,
  (select ok_at from source where name = 'skypilot') as ok_at`

/** Watches the tables all along: nothing in them may ever go back. */
export class TableWatch {
  readonly reverted: Reverted[] = []
  readonly looks: number[] = []
  readonly #revisions = new Map<number, { revision: number; events: number }>()
  readonly #endings = new Map<string, { experiment: number; ending: string }>()

  /** Looks again and again until the signal. That Postgres is away is no news. */
  async run(databaseUrl: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#watch(databaseUrl, signal).catch(() => undefined)
      await pause(SAMPLE_MS)
    }
  }

  #watch(databaseUrl: string, signal: AbortSignal): Promise<void> {
    return withClient(databaseUrl, async (client) => {
      while (!signal.aborted) {
        this.take(Sample.parse((await client.query(SAMPLE)).rows[0]))
        await pause(SAMPLE_MS)
      }
    })
  }

  /** Compares a look with all that were before. */
  take({ revisions, endings, ok_at: okAt }: Sample): void {
    const okMs = okAt?.getTime() ?? 0
    if (okMs > (this.looks.at(-1) ?? 0)) this.looks.push(okMs)
    for (const row of revisions) this.#takeRow(row)
    const now = new Map(endings.map(({ key, ending }) => [key, ending]))
    for (const [key, { experiment, ending }] of this.#endings)
      if (now.get(key) !== ending)
        this.reverted.push({
          experimentId: experiment,
          text: `attempt ${key} was ${ending}, and is ${now.get(key) ?? 'not ended'} later`,
        })
    for (const { key, experiment, ending } of endings) this.#endings.set(key, { experiment, ending })
  }

  #takeRow({ id, revision, events }: Sample['revisions'][number]): void {
    const before = this.#revisions.get(id)
    this.#revisions.set(id, { revision, events })
    if (!before || (revision >= before.revision && events >= before.events)) return
    this.reverted.push({
      experimentId: id,
      text: `row of experiment ${id} went from revision ${before.revision} with ${before.events} events to ${revision} with ${events}`,
    })
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
