/** Every address of the console. Ids are permanent; names are labels and never part of a path. */
export const paths = {
  list: (query: { q?: string | undefined; phase?: string | undefined; page?: number } = {}): string =>
    `/${search({ q: query.q, phase: query.phase, page: query.page && query.page > 1 ? String(query.page) : undefined })}`,
  listEvents: (query: { q?: string | undefined; phase?: string | undefined; page: number }): string =>
    `/events${search({ q: query.q, phase: query.phase, page: String(query.page) })}`,
  create: (example?: string): string => `/new${search({ example })}`,
  preview: (): string => '/preview',
  activity: (): string => '/activity',
  experiment: (id: number): string => `/e/${id}`,
  edit: (id: number): string => `/e/${id}/edit`,
  state: (id: number): string => `/e/${id}/state`,
  remove: (id: number): string => `/e/${id}/delete`,
  log: (id: number): string => `/e/${id}/log`,
  /** `jobId`: whose log the page shows already. */
  experimentEvents: (id: number, jobId: number | null): string => `/e/${id}/events?job=${jobId}`,
  refresh: (): string => '/refresh',
  jobLogs: (jobId: number, query: Record<string, string>): string =>
    `/api/jobs/${jobId}/logs${search(query)}`,
  asset: (name: string): string => `/assets/${name}`,
}

function search(query: Record<string, string | undefined>): string {
  const given = Object.entries(query).filter((entry): entry is [string, string] => Boolean(entry[1]))
  return given.length === 0 ? '' : `?${new URLSearchParams(given)}`
}
