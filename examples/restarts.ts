// An experiment that fails twice and is started again until it succeeds, within limits; then a look at what was said of it.
//
//   npm start                                (in another terminal)
//   node_modules/.bin/node examples/restarts.ts
import { SkyDeck } from '../sdk/client.ts'

const desk = new SkyDeck({ url: process.env['SKYDECK_URL'] ?? 'http://127.0.0.1:7777', actor: 'example' })

const { id, name } = await desk.create({
  name: `flaky-${Date.now()}`,
  command: 'echo "attempt $SKYDECK_ATTEMPT of {name}"; test "$SKYDECK_ATTEMPT" -ge 3 || exit 75',
  restartPolicy: { when: 'on-failure', exitCodes: [75], maxRestarts: 5, backoffSeconds: 0.5 },
  maxAgeSeconds: 600,
  priority: 2,
  desiredState: 'RUNNING',
})

const end = await desk.waitFor(id, ['succeeded', 'failed', 'lost'])
for (const { attempt, status, exit_code: exitCode } of (await desk.jobs(id)).toReversed())
  console.log(`attempt ${attempt}: ${status}, exit code ${exitCode ?? 'unknown'}`)
console.log(`${name}: ${end.phase} (${end.headline}), ${end.why}`)

const { applies } = await desk.edit(id, { priority: 5, nodes: 2 })
console.log(`now: ${applies.now.join(', ')}; at the next run: ${applies.next_run.join(', ') || 'nothing'}`)
