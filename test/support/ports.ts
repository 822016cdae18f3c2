import { randomInt } from 'node:crypto'
import { choosePorts } from '../../local/ports.ts'

/**
 * Below the ports that systems give to outgoing connections (from 32,768 on Linux, from 49,152 elsewhere): one of those
 * is free now, and may be somebody's end of a connection by the time that a server wants it.
 */
const FIRST = 10_000
const LAST = 31_000

const given: number[] = []
let before: Promise<number> = Promise.resolve(0)

/** A port of the loopback that is free, and that this process was not given before. */
export function freePort(): Promise<number> {
  before = before.then(next, next)
  return before
}

async function next(): Promise<number> {
  const wish = { what: 'a test', port: randomInt(FIRST, LAST), setting: '', fixed: false }
  const { ports, problems } = await choosePorts('127.0.0.1', { test: wish }, given)
  if (ports.test === undefined || problems.length > 0) throw new Error(problems.join())
  given.push(ports.test)
  return ports.test
}
