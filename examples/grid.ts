// A grid of 2 x 4 experiments: every network with every learning rate, started at once.
//
//   npm start                                (in another terminal)
//   node_modules/.bin/node examples/grid.ts
import { SkyDeck } from '../sdk/client.ts'

const desk = new SkyDeck({ url: process.env['SKYDECK_URL'] ?? 'http://127.0.0.1:7777', actor: 'example' })
const series = `grid-${Date.now()}`

const layers = [8, 16]
const learningRates = [0.0001, 0.0003, 0.001, 0.003]
const points = layers.flatMap((layer) => learningRates.map((rate) => ({ layer, rate })))

const experiments = await Promise.all(
  points.map(({ layer, rate }) =>
    desk.create({
      name: `${series}.${layer}x${rate}`,
      command: 'echo "{name}: {flags}"',
      flags: { 'policy.layers': layer, 'trainer.learning_rate': rate },
      desiredState: 'RUNNING',
      tags: ['grid', series],
    }),
  ),
)

for (const { id } of experiments) {
  const end = await desk.waitFor(id, ['succeeded', 'failed'])
  console.log(`${end.name}  ${end.phase}  ${end.why}`)
}
