import { parseArgs } from 'node:util'
import { onShutdown } from '../../runtime/shutdown.ts'
import { startLocalSkyPilot } from './server.ts'

const STOP_MS = 5_000

const { values } = parseArgs({
  options: {
    home: { type: 'string' },
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '46580' },
    slots: { type: 'string' },
  },
})
if (values.home === undefined) throw new Error('--home is needed: the folder where jobs and logs are kept')
const server = await startLocalSkyPilot({
  home: values.home,
  host: values.host,
  port: Number(values.port),
  log: (message, fields) =>
    process.stderr.write(`${JSON.stringify({ at: new Date(), message, ...fields })}\n`),
  ...(values.slots === undefined ? {} : { slots: Number(values.slots) }),
})
process.stdout.write(`${JSON.stringify({ ready: true, url: server.url })}\n`)
onShutdown(() => server.close(), { timeoutMs: STOP_MS })
