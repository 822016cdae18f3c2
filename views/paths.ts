/** Fields that hold at once, and fields that hold from the next run on. */
export interface Saved {
  now: readonly string[]
  nextRun: readonly string[]
}

/** Every address of the console. Ids are permanent; names are labels and never part of a path. */
export const paths = {
  list: (
    query: {
      q?: string | undefined
      phase?: string | undefined
      isDeleting?: boolean
      page?: number
      deleted?: number
    } = {},
  ): string =>
    `/${search({
      q: query.q,
      phase: query.phase,
      deleting: query.isDeleting ? '1' : undefined,
      page: query.page && query.page > 1 ? String(query.page) : undefined,
      deleted: query.deleted?.toString(),
    })}`,
  listEvents: (query: {
    q?: string | undefined
    phase?: string | undefined
    isDeleting: boolean
    page: number
  }): string =>
    `/events${search({
      q: query.q,
      phase: query.phase,
      deleting: query.isDeleting ? '1' : undefined,
      page: String(query.page),
    })}`,
  create: (example?: string): string => `/new${search({ example })}`,
  preview: (): string => '/preview',
  activity: (): string => '/activity',
  /** `saved`: which fields were just changed, to say from when on they hold. */
  experiment: (id: number, saved: Saved = { now: [], nextRun: [] }): string =>
    `/e/${id}${search({ now: saved.now.join(), next: saved.nextRun.join() })}`,
  edit: (id: number): string => `/e/${id}/edit`,
  state: (id: number): string => `/e/${id}/state`,
  hold: (id: number): string => `/e/${id}/hold`,
  release: (id: number): string => `/e/${id}/release`,
  confirmGone: (id: number): string => `/e/${id}/confirm-gone`,
  adopt: (id: number): string => `/e/${id}/adopt`,
  undelete: (id: number): string => `/e/${id}/undelete`,
  queue: (): string => '/queue',
  queueEvents: (): string => '/queue/events',
  orphansEvents: (): string => '/orphans/events',
  orphans: (ended?: string): string => `/orphans${search({ ended })}`,
  adoptOrphan: (kind: string, key: string): string => `/orphans/${kind}/${encodeURIComponent(key)}/adopt`,
  endOrphan: (kind: string, key: string): string => `/orphans/${kind}/${encodeURIComponent(key)}/end`,
  remove: (id: number): string => `/e/${id}/delete`,
  log: (id: number): string => `/e/${id}/log`,
  /** `jobKey`: whose log the page shows already. */
  experimentEvents: (id: number, jobKey: string | null): string =>
    `/e/${id}/events${search({ job: jobKey ?? undefined })}`,
  refresh: (): string => '/refresh',
  jobLogs: (jobKey: string, query: Record<string, string>): string =>
    `/api/jobs/${jobKey}/logs${search(query)}`,
  asset: (name: string): string => `/assets/${name}`,
}

function search(query: Record<string, string | undefined>): string {
  const given = Object.entries(query).filter((entry): entry is [string, string] => Boolean(entry[1]))
  return given.length === 0 ? '' : `?${new URLSearchParams(given)}`
}
