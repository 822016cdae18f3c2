/** True, or why not. */
export type Able = true | string

const ONE_NODE = 'the Slurm cluster of the tests has one node'

/**
 * What not every server of the contract suite can do. `local` is the server of local/skypilot, `real` the one that
 * test/support/real-skypilot.sh starts. docs/skypilot-real.md names each of them; a test holds it to that.
 */
export const CAPABILITIES = {
  'stop and start': { local: true, real: 'SkyPilot cannot stop machines of Slurm' },
  spot: { local: true, real: 'Slurm sells no spot machines' },
  'catalogues of clouds': { local: true, real: 'SkyPilot reads them from the internet' },
  'several nodes': { local: true, real: ONE_NODE },
} satisfies Record<string, { local: Able; real: Able }>

export type Capability = keyof typeof CAPABILITIES
