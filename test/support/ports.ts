import { randomInt } from 'node:crypto'
import { choosePorts } from '../../local/ports.ts'

/**
 * Below the ports that systems give to outgoing connections (from 32,768 on Linux, from 49,152 elsewhere): one of those
 * is free now, and may be somebody's end of a connection by the time that a server wants it.
 */
const FIRST = 10_000
const LAST = 31_000

const given = new Set<number>()

/** A port of the loopback that is free, and that this process was not given before. */
export async function freePort(): Promise<number> {
  const wish = { what: 'a test', port: randomInt(FIRST, LAST), setting: '', fixed: false }
  const { ports, problems } = await choosePorts('127.0.0.1', { test: wish }, [...given])
  const port = ports.test
  if (port === undefined || problems.length > 0) throw new Error(problems.join())
  // Another that was asked for at the same time may have got it.
  if (given.has(port)) return freePort()
  given.add(port)
  return port
}
