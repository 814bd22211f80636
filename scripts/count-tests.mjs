// Adds up reports of vitest, and of mutants.mjs, which writes the like, as `N passed, N failed`:
// `node scripts/count-tests.mjs STATUS REPORT [STATUS REPORT ...]`.
// STATUS is the exit code of the run that wrote the report.

import { existsSync, readFileSync } from 'node:fs';

const total = { passed: 0, failed: 0 };
for (let i = 2; i + 1 < process.argv.length; i += 2) {
  const { passed, failed } = count(process.argv[i], process.argv[i + 1]);
  total.passed += passed;
  total.failed += failed;
}
console.log(`${total.passed} passed, ${total.failed} failed`);

function count(status, path) {
  // A worker that died fails no test of its own, and a run that was skipped, or never came so far, writes no report.
  const leastFailed = status === '0' ? 0 : 1;
  if (!existsSync(path)) return { passed: 0, failed: leastFailed };
  const { numPassedTests, numFailedTests, testResults } = JSON.parse(readFileSync(path, 'utf8'));
  const broken = testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0);
  return { passed: numPassedTests, failed: Math.max(numFailedTests + broken.length, leastFailed) };
}
