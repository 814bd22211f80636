import { configDefaults, defineConfig, type ViteUserConfig } from 'vitest/config';

const config: ViteUserConfig = defineConfig({
  test: {
    include: ['spec/**/*.spec.ts'],
    exclude: [...configDefaults.exclude, 'spec/browser/**'], // npm run test:browser
    // A GPU in threads aborts the process when a test times out; one fork with a shared module
    // cache holds one device for all files.
    pool: 'forks',
    isolate: false,
    maxWorkers: 1,
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    setupFiles: ['spec/support/setup.ts'],
  },
});

export default config;
