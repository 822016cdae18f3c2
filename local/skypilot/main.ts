import { parseArgs } from 'node:util'
import { z } from 'zod'
import { onShutdown } from '../../runtime/shutdown.ts'
import { Fault } from './faults.ts'
import { startLocalSkyPilot } from './server.ts'
import { SettingsChange } from './settings.ts'

const STOP_MS = 5_000

const { values } = parseArgs({
  options: {
    home: { type: 'string' },
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '46580' },
    slots: { type: 'string' },
    /** JSON, as `POST /local/settings` takes it. */
    settings: { type: 'string', default: process.env['LOCAL_SKYPILOT_SETTINGS'] ?? '{}' },
    /** JSON, as `POST /local/faults` takes it. */
    faults: { type: 'string', default: process.env['LOCAL_SKYPILOT_FAULTS'] ?? '[]' },
  },
})
if (values.home === undefined) throw new Error('--home is needed: the folder where jobs and logs are kept')
const server = await startLocalSkyPilot({
  home: values.home,
  host: values.host,
  port: Number(values.port),
  settings: SettingsChange.parse(JSON.parse(values.settings)),
  faults: z.array(Fault).parse(JSON.parse(values.faults)),
  log: (message, fields) =>
    process.stderr.write(`${JSON.stringify({ at: new Date(), message, ...fields })}\n`),
  ...(values.slots === undefined ? {} : { slots: Number(values.slots) }),
})
process.stdout.write(`${JSON.stringify({ ready: true, url: server.url })}\n`)
onShutdown(() => server.close(), { timeoutMs: STOP_MS })
