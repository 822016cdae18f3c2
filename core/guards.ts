import type { Fact } from './evolve.ts'
import type { Experiment } from './experiment.ts'
import { isRecord } from './spec.ts'

const FACTS: ReadonlySet<string> = new Set<Fact['kind']>(['observed', 'vanished'])

/** Is this a fact that the fleet may tell? Only looks from outside come as messages; the rest is learned inside. */
export function isFact(value: unknown): value is Fact {
  if (!isRecord(value) || typeof value['kind'] !== 'string' || !FACTS.has(value['kind'])) return false
  if (value['kind'] === 'vanished')
    return isCount(value['jobId']) && typeof value['jobName'] === 'string' && isTime(value['atMs'])
  return isIdentity(value['identity']) && isObservation(value['observation'])
}

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) > 0
const isTime = (value: unknown): boolean => typeof value === 'number' && Number.isFinite(value)
const isTimeOrNull = (value: unknown): boolean => value === null || isTime(value)
const isTextOrNull = (value: unknown): boolean => value === null || typeof value === 'string'

const isIdentity = (value: unknown): boolean =>
  isRecord(value) &&
  typeof value['name'] === 'string' &&
  isCount(value['experimentId']) &&
  isCount(value['run']) &&
  isCount(value['attempt'])

const isObservation = (value: unknown): boolean =>
  isRecord(value) &&
  isCount(value['jobId']) &&
  typeof value['jobName'] === 'string' &&
  typeof value['status'] === 'string' &&
  isTime(value['seenAtMs']) &&
  isTime(value['recoveries']) &&
  ['scheduleState', 'details', 'failureReason'].every((key) => isTextOrNull(value[key])) &&
  ['submittedAtMs', 'startedAtMs', 'endedAtMs'].every((key) => isTimeOrNull(value[key]))

/** Is this a state that a workflow may start from? Checks the shape that the rules rely on, not every leaf. */
export function isExperiment(value: unknown): value is Experiment {
  if (!isRecord(value)) return false
  return (
    value['v'] === 1 &&
    isCount(value['id']) &&
    typeof value['name'] === 'string' &&
    isRecord(value['spec']) &&
    isRecord(value['desired']) &&
    Number.isSafeInteger(value['run']) &&
    Number.isSafeInteger(value['revision']) &&
    ['past', 'strays', 'events'].every((key) => Array.isArray(value[key])) &&
    (value['attempt'] === null || isRecord(value['attempt']))
  )
}
