/** Pickled None, as the real server sends for a handle that was not asked for. */
export const PICKLED_NONE = 'gAROLg=='

type Picklable = string | null | readonly Picklable[] | { readonly [key: string]: Picklable }

/**
 * Writes texts, lists and dictionaries as a Python pickle (protocol 2, base64): SkyPilot's own client reads errors
 * only so. Nothing here ever reads a pickle.
 */
export function pickled(value: Picklable): string {
  return Buffer.concat([Buffer.from([0x80, 2]), opcodes(value), Buffer.from('.')]).toString('base64')
}

function opcodes(value: Picklable): Buffer {
  if (value === null) return Buffer.from('N')
  if (typeof value === 'string') {
    const text = Buffer.from(value)
    const length = Buffer.alloc(5)
    length.write('X')
    length.writeUInt32LE(text.length, 1)
    return Buffer.concat([length, text])
  }
  const [open, items, close] = isList(value)
    ? ['](', value.map(opcodes), 'e']
    : ['}(', Object.entries(value).flatMap(([key, item]) => [opcodes(key), opcodes(item)]), 'u']
  return Buffer.concat([Buffer.from(open), ...items, Buffer.from(close)])
}

const isList = (value: readonly Picklable[] | object): value is readonly Picklable[] => Array.isArray(value)
