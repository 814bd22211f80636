import { configDefaults, defineConfig, type ViteUserConfig } from 'vitest/config';

const config: ViteUserConfig = defineConfig({
  test: {
    include: ['spec/**/*.spec.ts'],
    exclude: [...configDefaults.exclude, 'spec/browser/**'], // npm run test:browser
    // A GPU in threads aborts the process when a test times out; a fork with a shared module cache
    // holds one device for all its files. Two, since half of the time one core waits for the other.
    pool: 'forks',
    isolate: false,
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    setupFiles: ['spec/support/setup.ts'],
  },
});

export default config;
