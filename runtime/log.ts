import { type Logger, pino, stdTimeFunctions } from 'pino'
import type { LogLevel } from './env.ts'

export type Log = Logger

/** The log of a process: one line of JSON an event, on standard output. `warn` means someone should look. */
export function createLog(given: { level: LogLevel; name: string }): Log {
  return pino({ level: given.level, name: given.name, timestamp: stdTimeFunctions.isoTime })
}
