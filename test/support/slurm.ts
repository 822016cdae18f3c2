import { execFileSync } from 'node:child_process'
import { join } from 'node:path'

/** Where test/support/real-skypilot.sh keeps its Slurm. */
const CONF = join(process.env['SKYLAB_ROOT'] ?? '/var/lib/skylab', 'slurm/slurm.conf')

/** A job as Slurm itself lists it. For SkyPilot one is a whole cluster. */
export interface Allocation {
  slurmId: string
  name: string
  state: string
}

/** What Slurm knows: also of jobs that are over, for two hours. Newest last. */
export function allocations(part: string): Allocation[] {
  const listed = slurm('squeue', '--states=all', '--sort=i', '--noheader', '--format=%i|%j|%T')
  return listed
    .split('\n')
    .map((line) => line.trim().split('|'))
    .filter(([, name]) => name?.includes(part))
    .map(([slurmId = '', name = '', state = '']) => ({ slurmId, name, state }))
}

/** Whether an allocation holds machines, or may come to. */
export const isHeld = ({ state }: Allocation): boolean =>
  ['PENDING', 'CONFIGURING', 'RUNNING', 'SUSPENDED', 'COMPLETING'].includes(state)

/** Slurm's own words about these allocations, for people. */
export const describeAllocations = (all: readonly Allocation[]): string =>
  all.map(({ slurmId }) => slurm('scontrol', '--oneliner', 'show', 'job', slurmId).slice(0, 400)).join('\n')

/** Living processes of the node that call themselves so (`exec -a`). */
export function tasksNamed(mark: string): number[] {
  const all = execFileSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' })
  return all
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, name]) => name === mark)
    .map(([pid]) => Number(pid))
}

const slurm = (program: string, ...args: string[]): string =>
  execFileSync(program, args, { encoding: 'utf8', env: { ...process.env, SLURM_CONF: CONF } })
