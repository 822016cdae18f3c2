import { runner } from 'node-pg-migrate'

const DIRECTORY = new URL('migrations', import.meta.url).pathname

/** Brings the tables up to date. Any number of processes may do it at once: one works, the others wait for it. */
export async function migrate(databaseUrl: string, log: (message: string) => void): Promise<void> {
  await runner({
    databaseUrl,
    dir: DIRECTORY,
    direction: 'up',
    migrationsTable: 'migration',
    advisoryLockMode: 'wait',
    log: () => {},
    logger: { debug: () => {}, info: log, warn: log, error: log },
  })
}
