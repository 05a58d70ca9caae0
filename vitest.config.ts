import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/helpers/find-webgpu.ts', 'test/helpers/find-browser.ts'],
    // Dawn must not be loaded into worker threads; two processes fill the two cores of the reference machine
    pool: 'forks',
    maxWorkers: 2,
    // limits against hanging, wide enough for a busy machine: nothing is measured by them
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // tests of webgpu take a software adapter where there is no other
    // tests compute the same bits everywhere; those of the BLAS turn it on themselves
    env: {
      TUNESMITH_ADAPTER: process.env.TUNESMITH_ADAPTER ?? 'any',
      TUNESMITH_BLAS: process.env.TUNESMITH_BLAS ?? 'off',
    },
  },
})
