// Reads WGSL from the standard input, and prints what Dawn's front end says of it as JSON. The null backend has features
// that no adapter here has; a process of its own keeps its instance away from the one that tests run on.

import { text } from 'node:stream/consumers';
import { create } from 'webgpu';

const code = await text(process.stdin);
const gpu = create(['backend=null', 'enable-dawn-features=allow_unsafe_apis']);
const adapter = await gpu.requestAdapter();
const device = await adapter.requestDevice({
  requiredFeatures: ['shader-f16', 'subgroups', 'chromium-experimental-subgroup-matrix'],
  requiredLimits: { maxComputeWorkgroupStorageSize: adapter.limits.maxComputeWorkgroupStorageSize },
});
device.addEventListener('uncapturederror', (event) => event.preventDefault());
const { messages } = await device.createShaderModule({ code }).getCompilationInfo();
const found = messages.map(({ type, lineNum, message }) => `${type} in line ${lineNum}: ${message}`);
console.log(JSON.stringify(found));
process.exit(gpu === null ? 1 : 0); // gpu stays referenced until here
