import { DefaultPayloadConverter, type Payload, type PayloadConverter } from '@temporalio/common'

const inner = new DefaultPayloadConverter()
/** Its key holds blanks, so that it is no map of flags either. */
const UNDECODABLE = inner.toPayload({ 'cannot be decoded': true })

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
      return inner.fromPayload<T>(UNDECODABLE)
    }
  },
}
