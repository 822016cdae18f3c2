import { DefaultPayloadConverter, type Payload, type PayloadConverter } from '@temporalio/common'

const inner = new DefaultPayloadConverter()

/**
 * Reads payloads without ever throwing. Anybody who may signal can send bytes that nothing can decode; thrown in a
 * workflow task that would stop the experiment until a new release. What cannot be read becomes a marker that
 * every guard refuses and counts.
 */
export const payloadConverter: PayloadConverter = {
  toPayload: (value) => inner.toPayload(value),
  fromPayload: (payload: Payload) => {
    try {
      return inner.fromPayload(payload)
    } catch {
      return JSON.parse('{"undecodable":true}')
    }
  },
}
