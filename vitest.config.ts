import { defineConfig } from 'vitest/config'

/** A real SkyPilot API server, where one runs for the tests. */
// oxlint-disable-next-line node/no-process-env -- what the tests are told has no other way in
const endpoint = process.env['SKYDECK_CONTRACT_ENDPOINT']

/**
 * `unit` needs nothing but Node; `stack` starts real servers, so its files run one after the other. `contract` runs
 * against the local SkyPilot, or a real one where there is one; `real` only where there is one; `chaos` starts real
 * servers too, and breaks them for three minutes. `mutants` spoils a copy of the sources, to see which tests notice.
 */
export default defineConfig({
  oxc: { jsx: { runtime: 'automatic', importSource: 'hono/jsx' } },
  test: {
    // Left alone, two cores would get one worker; most of these tests wait for something.
    maxWorkers: '100%',
    // One second is not enough on a machine that has other work: what never comes fails all the same.
    expect: { poll: { timeout: 15_000 } },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: [
            'test/{core,activations,simulation,skypilot,views,runtime,local,api,activities,chaos,bench,mutation}/**/*.test.{ts,tsx}',
          ],
          exclude: ['test/chaos/*.e2e.test.ts', 'test/mutation/mutants.test.ts'],
          testTimeout: 30_000,
          // Some start Postgres or bundle the workflows, which takes its time beside other work.
          hookTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'contract',
          include: ['test/contract/**/*.test.ts'],
          testTimeout: 60_000,
          // Each real launch takes seconds of CPU: many at once only make each other late.
          ...(endpoint ? { fileParallelism: false, maxConcurrency: 2 } : {}),
        },
      },
      {
        extends: true,
        test: {
          name: 'real',
          include: endpoint ? ['test/real/**/*.test.ts'] : [],
          hookTimeout: 300_000,
          fileParallelism: false,
          globalSetup: ['test/support/temporal-setup.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'sky-command',
          include: ['test/sky-command/**/*.test.ts'],
          testTimeout: 300_000,
          hookTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'stack',
          include: ['test/{store,workflows,sdk,e2e}/**/*.test.{ts,tsx}'],
          testTimeout: 120_000,
          hookTimeout: 180_000,
          fileParallelism: false,
          globalSetup: ['test/support/temporal-setup.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'chaos',
          include: ['test/chaos/*.e2e.test.ts'],
          testTimeout: 30_000,
          hookTimeout: 900_000,
          fileParallelism: false,
          globalSetup: ['test/support/temporal-setup.ts'],
          // By itself and last: it is about what happens on a machine that has enough to do already.
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'mutants',
          include: ['test/mutation/mutants.test.ts'],
          // By itself: each of its tests runs tests.
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
