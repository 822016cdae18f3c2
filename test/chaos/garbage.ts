import type { Client } from '@temporalio/client'
import { defaultPayloadConverter, type Payload } from '@temporalio/common'
import type { Random } from './random.ts'

/** A message that no client of ours would send. None of them says anything that could be meant. */
export interface Garbage {
  signal: string
  payloads: Payload[]
}

const json = (...values: unknown[]): Payload[] =>
  values.map((value) => defaultPayloadConverter.toPayload(value))

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const NONSENSE: ReadonlyArray<() => Garbage> = [
  () => ({ signal: 'setDesiredState', payloads: [] }),
  () => ({ signal: 'setDesiredState', payloads: json(null) }),
  () => ({ signal: 'setDesiredState', payloads: json(42) }),
  () => ({ signal: 'setDesiredState', payloads: json('running') }),
  () => ({ signal: 'setDesiredState', payloads: json(['RUNNING']) }),
  () => ({ signal: 'setDesiredState', payloads: json({ state: 'PAUSED', actor: 7, reason: [] }) }),
  () => ({ signal: 'setDesiredState', payloads: json({ state: { $ne: 1 } }, 'and more', {}) }),
  () => ({ signal: 'setDesiredState', payloads: json('R'.repeat(100_000)) }),
  () => ({ signal: 'setFlags', payloads: json('learning_rate=1') }),
  () => ({ signal: 'setFlags', payloads: json({ flags: { 'a b': { c: [] } } }) }),
  () => ({ signal: 'edit', payloads: json({ spec: { nodes: 'many', envs: [] } }) }),
  () => ({ signal: 'edit', payloads: json({ spec: { noSuchField: 1 }, name: 17 }) }),
  () => ({ signal: 'observe', payloads: json('nothing') }),
  () => ({ signal: 'observe', payloads: json([{ kind: 'observed' }, null]) }),
  () => ({ signal: 'observe', payloads: json([{ kind: 'vanished', jobId: -1, jobName: 3 }]) }),
  () => ({ signal: 'observe', payloads: [] }),
  () => ({ signal: 'noSuchSignal', payloads: json({ anything: true }) }),
  () => ({ signal: '', payloads: json(1) }),
  () => ({ signal: 'setDesiredState', payloads: [encoded('binary/encrypted', 'no key opens this')] }),
  () => ({ signal: 'observe', payloads: [encoded('json/plain', '{"half": ')] }),
  () => ({ signal: 'edit', payloads: [encoded('', '')] }),
]

const encoded = (encoding: string, data: string): Payload => ({
  metadata: { encoding: bytes(encoding) },
  data: bytes(data),
})

export const garbage = (random: Random): Garbage => random.pick(NONSENSE)()

/** Sends it past our own converters, which would refuse some of it. A workflow that is not there gets nothing. */
export async function sendGarbage(
  temporal: Client,
  workflowId: string,
  { signal, payloads }: Garbage,
): Promise<void> {
  const { workflowService } = temporal.connection
  try {
    await temporal.withDeadline(Date.now() + 5_000, () =>
      workflowService.signalWorkflowExecution({
        namespace: temporal.options.namespace,
        workflowExecution: { workflowId },
        signalName: signal,
        input: { payloads },
      }),
    )
  } catch {
    // The server is away, the workflow is over, or the server itself refuses such a message.
  }
}
