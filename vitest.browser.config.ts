import { defineConfig, type ViteUserConfig } from 'vitest/config';

// The specs that drive a Chromium: `npm run test:browser`.
const config: ViteUserConfig = defineConfig({
  test: {
    include: ['spec/browser/**/*.spec.ts'],
    pool: 'forks',
    maxWorkers: 1,
    fileParallelism: false,
    testTimeout: 600_000, // SwiftShader, on a machine that may be busy with other things
    hookTimeout: 600_000,
  },
});

export default config;
