import { InvalidError } from './errors.ts'

/**
 * The command of each node, by its rank. The addresses are known only on the machines, so `nodeIps` holds shell
 * expansions such as `${SKYPILOT_NODE_IP_0}`: fine bare or in double quotes, not in single quotes.
 */
export type RunFunction = (rank: number, nodeIps: readonly string[]) => string

/** Writes the commands of all ranks as one script that picks its own: SkyPilot takes text only. */
export function scriptOf(run: RunFunction, numNodes: number): string {
  const ranks = Array.from({ length: numNodes }, (_, rank) => rank)
  const nodeIps = ranks.map((rank) => `\${SKYPILOT_NODE_IP_${rank}}`)
  const commands = ranks.map((rank) => {
    const command: unknown = run(rank, nodeIps)
    if (typeof command !== 'string') throw new InvalidError(`run: should give text for rank ${rank}`)
    return command.trimEnd()
  })
  const addresses = ranks.map(
    (rank) => `SKYPILOT_NODE_IP_${rank}="$(sed -n ${rank + 1}p <<< "\${SKYPILOT_NODE_IPS}")"`,
  )
  const cases = commands.map((command, rank) => `${rank})\n${command}\n;;`)
  return [...addresses, 'case "${SKYPILOT_NODE_RANK}" in', ...cases, 'esac', ''].join('\n')
}
