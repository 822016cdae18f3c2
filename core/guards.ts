import type { Experiment } from './experiment.ts'
import { type Fact, FACTS_OF_THE_FLEET } from './facts.ts'
import { isRecord } from './spec.ts'

type FleetFact = (typeof FACTS_OF_THE_FLEET)[number]

/** What each fact must carry. */
const SHAPES: { readonly [K in FleetFact]: (fact: Record<string, unknown>) => boolean } = {
  observed: (fact) => isIdentity(fact['identity']) && isObservation(fact['observation']),
  foreignSeen: (fact) => isObservation(fact['observation']),
  vanished: (fact) =>
    isCount(fact['jobId']) &&
    typeof fact['jobName'] === 'string' &&
    isTextOrNull(fact['clusterName'] ?? null) &&
    isTime(fact['atMs']),
  clusterSeen: (fact) => isCluster(fact['cluster']),
  clusterAbsent: (fact) => typeof fact['name'] === 'string' && isTime(fact['seenAtMs']),
}

/** Is this a fact that the fleet may tell? Only looks from outside come as messages; the rest is learned inside. */
export function isFact(value: unknown): value is Fact {
  if (!isRecord(value)) return false
  const kind = FACTS_OF_THE_FLEET.find((known) => known === value['kind'])
  return kind !== undefined && SHAPES[kind](value)
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
  ['clusterName', 'scheduleState', 'details', 'failureReason'].every((key) => isTextOrNull(value[key])) &&
  ['submittedAtMs', 'startedAtMs', 'endedAtMs'].every((key) => isTimeOrNull(value[key]))

const isCluster = (value: unknown): boolean =>
  isRecord(value) &&
  typeof value['name'] === 'string' &&
  typeof value['status'] === 'string' &&
  isTextOrNull(value['reason']) &&
  ['launchedAtMs', 'autostopMinutes'].every((key) => isTimeOrNull(value[key])) &&
  isTime(value['seenAtMs'])

/** Is this a state that a workflow may start from? Checks the shape that the rules rely on, not every leaf. */
export function isExperiment(value: unknown): value is Experiment {
  if (!isRecord(value)) return false
  return (
    value['v'] === 2 &&
    isCount(value['id']) &&
    typeof value['name'] === 'string' &&
    isRecord(value['spec']) &&
    isRecord(value['policy']) &&
    isRecord(value['desired']) &&
    Number.isSafeInteger(value['run']) &&
    Number.isSafeInteger(value['revision']) &&
    ['past', 'strays', 'foreign', 'events'].every((key) => Array.isArray(value[key])) &&
    (value['attempt'] === null || isRecord(value['attempt']))
  )
}
