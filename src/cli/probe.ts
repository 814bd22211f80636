// The program that looks for an adapter: `node dist/probe.js [--driver-folder DIR]`.
//
// It is always run as a child, because a broken driver ends the process it is loaded into. On stdout
// comes one line, `probe: ` and a ProbeResult as JSON; a driver may print other lines around it.

import { type DawnDoor, type DoorName, openDawn } from '../tensor/dawn.ts';
import { bufferUsage, mapForReading } from '../tensor/webgpu-flags.ts';

export interface ProbeResult {
  readonly adapter: ProbedAdapter | null;
  readonly error: string | null; // why there is none, or what is wrong with it
}

export interface ProbedAdapter {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  readonly software: boolean;
  readonly driver: DoorName;
  readonly memoryBudgetBytes: number | null;
  readonly features: Readonly<Record<string, boolean>>;
  readonly limits: Readonly<Record<string, number>>;
}

const FEATURES = ['shader-f16', 'subgroups', 'timestamp-query'] as const;
const LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'minStorageBufferOffsetAlignment',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupsPerDimension',
] as const;

const VALUE_COUNT = 64;
const KERNEL = `
  @group(0) @binding(0) var<storage, read_write> values: array<f32>; // [64]

  @compute @workgroup_size(64)
  fn main(@builtin(global_invocation_id) id: vec3u) {
    values[id.x] = 2.0 * values[id.x] + f32(id.x);
  }
`;

async function probe(driverFolder: string | undefined): Promise<ProbeResult> {
  let door: DawnDoor;
  try {
    door = await openDawn(driverFolder === undefined ? {} : { driverFolder });
  } catch (error) {
    return { adapter: null, error: messageOf(error) };
  }
  const adapter = describe(door);
  try {
    return { adapter, error: await tryKernel(door.adapter) };
  } catch (error) {
    return { adapter, error: messageOf(error) };
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function describe({ adapter, driver, memoryBudgetBytes }: DawnDoor): ProbedAdapter {
  const { vendor, architecture, device, description, isFallbackAdapter } = adapter.info;
  const features = Object.fromEntries(FEATURES.map((name) => [name, adapter.features.has(name)]));
  const limits = Object.fromEntries(LIMITS.map((name) => [name, adapter.limits[name]]));
  const software = isFallbackAdapter;
  return { vendor, architecture, device, description, software, driver, memoryBudgetBytes, features, limits };
}

/** One dispatch, read back: a driver that is there may still not compile, or compute nonsense. */
async function tryKernel(adapter: GPUAdapter): Promise<string | null> {
  const device = await adapter.requestDevice();
  const problems: string[] = [];
  device.addEventListener('uncapturederror', (event) => {
    event.preventDefault();
    problems.push(event.error.message);
  });
  const size = 4 * VALUE_COUNT;
  const values = device.createBuffer({
    size,
    usage: bufferUsage.storage | bufferUsage.copySource | bufferUsage.copyTarget,
  });
  const staging = device.createBuffer({ size, usage: bufferUsage.mapRead | bufferUsage.copyTarget });
  device.queue.writeBuffer(
    values,
    0,
    Float32Array.from({ length: VALUE_COUNT }, (_, i) => i / 2),
  );

  const module = device.createShaderModule({ label: 'probe', code: KERNEL });
  const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module, entryPoint: 'main' } });
  const layout = pipeline.getBindGroupLayout(0);
  const bindGroup = device.createBindGroup({
    layout,
    entries: [{ binding: 0, resource: { buffer: values } }],
  });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, bindGroup);
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(values, 0, staging, 0, size);
  device.queue.submit([encoder.finish()]);

  await staging.mapAsync(mapForReading);
  const result = new Float32Array(staging.getMappedRange().slice(0));
  staging.unmap();
  device.destroy();
  const wrong = result.findIndex((value, i) => value !== 2 * i);
  if (wrong >= 0)
    problems.push(`expected ${2 * wrong} at position ${wrong} of a test kernel, got ${result[wrong]}`);
  return problems[0] ?? null;
}

const [flag, folder] = process.argv.slice(2);
const result = await probe(flag === '--driver-folder' ? folder : undefined);
process.stdout.write(`\nprobe: ${JSON.stringify(result)}\n`);
process.exitCode = result.adapter !== null && result.error === null ? 0 : 2;
