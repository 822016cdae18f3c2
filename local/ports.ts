import { createServer } from 'node:net'

/** A port that some part of the stack wants to listen on. */
export interface PortWish {
  what: string
  port: number
  /** The setting that changes it. */
  setting: string
  /** A port that was asked for by name, or that people have bookmarked, is never exchanged for another. */
  fixed: boolean
}

/** How many ports above a busy default are tried. */
const REACH = 100

/** Finds a free port for each wish. All busy ports that may not be exchanged are told in `problems`. */
export async function choosePorts<K extends string>(
  host: string,
  wishes: Partial<Record<K, PortWish>>,
  alreadyTaken: readonly number[] = [],
): Promise<{ ports: Partial<Record<K, number>>; problems: string[] }> {
  const ports: Partial<Record<K, number>> = {}
  const problems: string[] = []
  const taken = new Set(alreadyTaken)
  for (const key in wishes) {
    const wish = wishes[key]
    if (wish === undefined) continue
    const found = await firstFree(host, wish, taken)
    if (found === undefined) problems.push(busy(wish))
    if (found !== undefined) taken.add(found)
    ports[key] = found ?? wish.port
  }
  return { ports, problems }
}

/** Whether something could listen there now. */
async function isFree(host: string, port: number): Promise<boolean> {
  const server = createServer()
  return new Promise((answer) => {
    server.once('error', () => answer(false))
    server.listen({ host, port, exclusive: true }, () => server.close(() => answer(true)))
  })
}

/** The line about a port that somebody else has. */
function busy(wish: PortWish): string {
  return `Port ${wish.port} for ${wish.what} is taken by another program: end it, or choose another with ${wish.setting}`
}

async function firstFree(host: string, wish: PortWish, taken: Set<number>): Promise<number | undefined> {
  const last = wish.fixed ? wish.port : Math.min(wish.port + REACH, 65_535)
  for (let port = wish.port; port <= last; port++) {
    if (!taken.has(port) && (await isFree(host, port))) return port
  }
  return undefined
}
