import { DefaultPayloadConverter, type Payload, type PayloadConverter } from '@temporalio/common'
import { UNDECODABLE } from '../core/receipt.ts'

const inner = new DefaultPayloadConverter()
const undecodable = inner.toPayload(UNDECODABLE)

/**
 * Reads payloads without ever throwing. Anybody who may signal can send bytes that nothing can decode; thrown in a
 * workflow task that would stop the experiment until a new release. What cannot be read becomes a marker that
 * every guard refuses and counts.
 */
export const payloadConverter: PayloadConverter = {
  toPayload: (value) => inner.toPayload(value),
  // eslint-disable-next-line typescript/no-unnecessary-type-parameters -- the shape is Temporal's
  fromPayload<T>(payload: Payload): T {
    try {
      return inner.fromPayload<T>(payload)
    } catch {
      return inner.fromPayload<T>(undecodable)
    }
  },
}
