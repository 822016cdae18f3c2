import { parseArgs } from 'node:util'
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker'
import { bareActivities } from './activities.ts'

// The worker of the baselines: the SDK as it comes, with workflows that do the least that can be done.
const { values } = parseArgs({
  options: {
    address: { type: 'string', default: '127.0.0.1:7233' },
    'task-queue': { type: 'string', default: 'bare' },
    bundle: { type: 'string' },
    /** How many workflows it keeps: as many as SkyDeck's worker. */
    cached: { type: 'string', default: '1000' },
  },
})
if (values.bundle === undefined) throw new Error('--bundle is needed: the file with the bundled workflows')
const logger = new DefaultLogger('WARN', ({ level, message }) =>
  process.stderr.write(`${level} ${message}\n`),
)
Runtime.install({ logger })
const worker = await Worker.create({
  connection: await NativeConnection.connect({ address: values.address }),
  taskQueue: values['task-queue'],
  workflowBundle: { codePath: values.bundle },
  activities: bareActivities,
  maxCachedWorkflows: Number(values.cached),
})
await worker.run()
