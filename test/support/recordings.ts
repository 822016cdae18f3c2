/** A recording holds JSON texts opened up, so that people can read them; here they become texts again. */
export const closed = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(closed)
  if (typeof value !== 'object' || value === null) return value
  const { ['__json_string__']: inner } = value as Record<string, unknown>
  if (inner !== undefined) return JSON.stringify(closed(inner))
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, closed(each)]))
}
