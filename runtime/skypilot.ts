import { createSkyPilot, type SkyPilot } from '../skypilot/client.ts'
import { findConnection } from '../skypilot/connection.ts'

/**
 * The SkyPilot that we work with, found as SkyPilot's own client finds it: address, token, and the cookies of a log-in.
 * All processes of a desk are one user there, whoever's account they run under.
 * @throws InvalidError for a token or a port that cannot be one
 */
export const connectToSkyPilot = (): SkyPilot =>
  // oxlint-disable-next-line node/no-process-env -- SkyPilot's own variables are read as its own client reads them
  createSkyPilot({ ...findConnection(process.env), user: { id: 'skydeck', name: 'skydeck' } })
