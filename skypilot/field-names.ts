/** Fields of an object, as they are called in TypeScript; those of a field that is an object (or a list of such) below it. */
export interface FieldNames {
  readonly [camel: string]: true | FieldNames
}

const snakeOf = (camel: string): string => camel.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

type Renamed = Record<string, unknown>

const isObject = (value: unknown): value is Renamed =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Renames the known fields for YAML (`useSpot` to `use_spot`). Others stay as they are: their names are the user's. */
export const toYamlNames = (value: Renamed, names: FieldNames): Renamed =>
  renamed(value, (key) => [snakeOf(key), Object.hasOwn(names, key) ? names[key] : undefined], toYamlNames)

/** The other way round. */
export function fromYamlNames(value: Renamed, names: FieldNames): Renamed {
  const camelOf = new Map(Object.keys(names).map((camel) => [snakeOf(camel), camel]))
  return renamed(
    value,
    (key) => {
      const camel = camelOf.get(key)
      return camel === undefined ? [key, undefined] : [camel, names[camel]]
    },
    fromYamlNames,
  )
}

function renamed(
  value: Renamed,
  nameOf: (key: string) => readonly [string, true | FieldNames | undefined],
  again: (value: Renamed, names: FieldNames) => Renamed,
): Renamed {
  const inner = (each: unknown, below: FieldNames): unknown => {
    if (Array.isArray(each)) return each.map((item) => inner(item, below))
    return isObject(each) ? again(each, below) : each
  }
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => {
      const [name, below] = nameOf(key)
      if (below === undefined) return [key, each]
      return [name, below === true ? each : inner(each, below)]
    }),
  )
}

/** A copy that nobody can change, all the way down; what is neither list nor plain object is taken over as it is. */
export function frozenCopy<T>(value: T): T
export function frozenCopy(value: unknown): unknown {
  if (Array.isArray(value)) return Object.freeze(value.map((each: unknown) => frozenCopy(each)))
  if (!isObject(value) || Object.getPrototypeOf(value) !== Object.prototype) return value
  return Object.freeze(
    Object.fromEntries(Object.entries(value).map(([key, each]) => [key, frozenCopy(each)])),
  )
}
