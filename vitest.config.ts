import { defineConfig } from 'vitest/config'

/** `unit` needs nothing but Node; `stack` starts real servers, so its files run one after the other. */
export default defineConfig({
  oxc: { jsx: { runtime: 'automatic', importSource: 'hono/jsx' } },
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/{core,skypilot,views,runtime,local,api,activities}/**/*.test.{ts,tsx}'],
          testTimeout: 30_000,
        },
      },
      {
        extends: true,
        test: { name: 'contract', include: ['test/contract/**/*.test.ts'], testTimeout: 60_000 },
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
    ],
  },
})
