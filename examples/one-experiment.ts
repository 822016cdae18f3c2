// One experiment from start to finish: create it, say that you want it running, read its output.
//
//   npm start                                          (in another terminal)
//   node_modules/.bin/node examples/one-experiment.ts
import { SkyDeck } from '../sdk/client.ts'

const desk = new SkyDeck({ url: process.env['SKYDECK_URL'] ?? 'http://127.0.0.1:7777', actor: 'example' })

const experiment = await desk.create({
  name: `ppo-${Date.now()}`,
  command: 'echo "training {name} with {flags}"; for epoch in 1 2 3; do echo "epoch $epoch"; sleep 0.2; done',
  flags: { 'trainer.learning_rate': 0.0003, seed: 7 },
})
console.log(`created ${experiment.name}: ${experiment.command}`)

await desk.setDesiredState(experiment.id, 'RUNNING', 'first try')
const end = await desk.waitFor(experiment.id, ['succeeded', 'failed'])

for await (const line of desk.logs(experiment.id)) console.log(line)
console.log(`${end.name}: ${end.phase}, exit code ${end.exit_code}`)
