// Running a kernel: one pipeline per kernel, one bind group per list of buffers, batched dispatches. SPEC T-3.
//
// The text of a kernel is a constant: sizes travel in a uniform Params of u32 and f32 scalars, so that one pipeline
// serves all shapes. Binding 0 is params, then come the inputs in argument order, then the output, and in a
// few kernels a second one.
//
// The Params of a batch lie one behind the other in an arena that is written once before the batch is submitted; a
// dispatch says where its own begin by a dynamic offset.

import { GpuError } from './errors.ts';
import type { Gpu } from './gpu.ts';
import { allocate, disown, type Storage } from './memory.ts';
import type { AnyTensor, Matrix } from './tensor.ts';
import { collectStamps, stampNext, type Timestamps } from './timestamps.ts';
import { bufferUsage, computeStage } from './webgpu-flags.ts';

export interface Kernel {
  readonly name: string;
  readonly code: string;
}

/** Marks a string as WGSL for editors; the value is the text itself. */
export function wgsl(parts: TemplateStringsArray, ...functions: string[]): string {
  return String.raw({ raw: parts }, ...functions);
}

/** WGSL: the number of an invocation when the workgroups of 64 fill a grid row by row. */
export const flatIndex: string = wgsl`
    fn flatIndex(id: vec3u, groups: vec3u) -> u32 { return id.x + id.y * groups.x * 64u; }
`;

/** WGSL: the number of a workgroup when the workgroups fill a grid row by row. */
export const flatGroup: string = wgsl`
    fn flatGroup(group: vec3u, groups: vec3u) -> u32 { return group.x + group.y * groups.x; }
`;

/** WGSL: a hash of 32 bits. */
export const pcg: string = wgsl`
    fn pcg(x: u32) -> u32 {
      let state = x * 747796405u + 2891336453u;
      let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
      return (word >> 22u) ^ word;
    }
`;

export interface Scalar {
  readonly type: 'u32' | 'f32';
  readonly value: number;
}

/** An integer among the params of a kernel. */
export function u32(value: number): Scalar {
  if (!Number.isInteger(value) || value < 0 || value > 0xffffffff) {
    throw new RangeError(`u32: expected an integer from 0 to 4294967295, got ${value}`);
  }
  return { type: 'u32', value };
}

/** A real number among the params of a kernel, rounded to f32. */
export function f32(value: number): Scalar {
  return { type: 'f32', value };
}

/** Some rows of a matrix that is bound in blocks. The bytes before them are a multiple of 256. */
export interface RowBlock {
  readonly matrix: Matrix;
  readonly byteOffset: number;
  readonly byteLength: number;
}

export interface Dispatch {
  readonly params: readonly Scalar[]; // in the order of the kernel's Params
  readonly inputs: readonly (AnyTensor | RowBlock)[];
  readonly output: AnyTensor;
  readonly secondOutput?: AnyTensor; // what a kernel finds on the way to the first
  readonly groups: number; // workgroups, laid out as rows of at most 65,535
}

const SLOT_BYTES = 256; // the largest alignment that an adapter may ask of a dynamic offset
const PARAMS_BYTES = 64;
const SLOTS = 256;
export const DISPATCHES_PER_SUBMIT = 64;
const MAX_GROUPS_PER_AXIS = 65535;
const MOST_BIND_GROUPS = 4096;
const MOST_UNCOLLECTED = 40_000;

/** The state between two submits, and what outlives them: pipelines, layouts, bind groups. */
export interface Commands {
  readonly pipelines: Map<Kernel, GPUComputePipeline>;
  readonly layouts: Map<number, Layout>; // by the number of inputs and outputs
  readonly bindGroups: Map<string, GPUBindGroup>;
  readonly bindGroupsOfStorage: Map<number, string[]>;
  readonly arena: GPUBuffer;
  readonly arenaBytes: ArrayBuffer;
  readonly checks: Set<Promise<void>>; // compilation results that read() waits for
  readonly compileErrors: string[]; //    reported first: invalid dispatches follow from them
  encoder: GPUCommandEncoder | null;
  pass: GPUComputePassEncoder | null;
  boundKernel: Kernel | null;
  dispatchCount: number;
  timestamps: Timestamps | null; // while a profile is taken
  uncollected: number; // bind groups made since the cache was begun
}

export function createCommands(device: GPUDevice): Commands {
  const size = SLOT_BYTES * SLOTS;
  const usage = bufferUsage.uniform | bufferUsage.copyTarget;
  return {
    pipelines: new Map(),
    layouts: new Map(),
    bindGroups: new Map(),
    bindGroupsOfStorage: new Map(),
    arena: device.createBuffer({ label: 'params', size, usage }),
    arenaBytes: new ArrayBuffer(size),
    checks: new Set(),
    compileErrors: [],
    encoder: null,
    pass: null,
    boundKernel: null,
    dispatchCount: 0,
    timestamps: null,
    uncollected: 0,
  };
}

/** Appends one dispatch to the batch. Nothing to do (`groups` = 0) is not dispatched. Returns the output. */
export function runKernel<T extends AnyTensor>(gpu: Gpu, kernel: Kernel, work: Dispatch & { output: T }): T {
  if (work.groups === 0) return work.output;
  checkWork(gpu, kernel.name, work);
  const { commands } = gpu;
  const outputs = work.secondOutput === undefined ? [work.output] : [work.output, work.secondOutput];
  const layout = layoutOf(gpu, work.inputs.length, outputs.length);
  const pass = openPass(gpu, kernel);
  if (commands.boundKernel !== kernel) {
    pass.setPipeline(pipelineOf(gpu, kernel, layout));
    commands.boundKernel = kernel;
  }
  const bindings = [...work.inputs, ...outputs].map(bindingOf);
  pass.setBindGroup(0, bindGroupOf(gpu, layout, bindings), [writeParams(commands, work.params)]);
  const columns = Math.min(work.groups, MAX_GROUPS_PER_AXIS);
  pass.dispatchWorkgroups(columns, Math.ceil(work.groups / columns));
  if (++commands.dispatchCount === DISPATCHES_PER_SUBMIT) submit(gpu);
  return work.output;
}

/** Frees the outputs, which nobody will get, if the work cannot be done. */
function checkWork(gpu: Gpu, who: string, { inputs, output, secondOutput }: Dispatch): void {
  let reason =
    whyUnusable(gpu, output) ?? (secondOutput === undefined ? null : whyUnusable(gpu, secondOutput));
  for (const input of inputs) {
    reason ??= whyUnusable(gpu, input);
    const { storage } = ownerOf(input);
    if (storage === output.storage || storage === secondOutput?.storage)
      reason ??= 'another output, got one of the inputs';
  }
  if (gpu.adapter.software && gpu.commands.uncollected >= MOST_UNCOLLECTED) {
    reason ??= `a reading at least every ${MOST_UNCOLLECTED} new bind groups, got none`;
  }
  if (reason === null) return;
  disown(gpu.memory, output);
  if (secondOutput !== undefined) disown(gpu.memory, secondOutput);
  throw new GpuError(`${who}: expected ${reason}`);
}

function whyUnusable(gpu: Gpu, operand: AnyTensor | RowBlock): string | null {
  const tensor = ownerOf(operand);
  if (tensor.gpu !== gpu) return 'tensors of one device, got two devices';
  if (!gpu.memory.live.has(tensor)) return `live tensors, got a disposed one [${tensor.shape.join(', ')}]`;
  const byteLength = 'matrix' in operand ? operand.byteLength : operand.storage.capacity;
  const largest = gpu.device.limits.maxStorageBufferBindingSize;
  return byteLength > largest ? `at most ${largest} bytes in a binding, got ${byteLength}` : null;
}

function ownerOf(operand: AnyTensor | RowBlock): AnyTensor | Matrix {
  return 'matrix' in operand ? operand.matrix : operand;
}

/** What of which buffer a kernel sees. */
interface Binding {
  readonly storage: Storage;
  readonly byteOffset: number;
  readonly byteLength: number;
}

function bindingOf(operand: AnyTensor | RowBlock): Binding {
  if (!('matrix' in operand)) {
    return { storage: operand.storage, byteOffset: 0, byteLength: operand.storage.capacity };
  }
  return { storage: operand.matrix.storage, byteOffset: operand.byteOffset, byteLength: operand.byteLength };
}

function openPass(gpu: Gpu, { name }: Kernel): GPUComputePassEncoder {
  const { commands, device } = gpu;
  const { timestamps } = commands;
  if (timestamps !== null) endPass(commands);
  commands.encoder ??= device.createCommandEncoder();
  if (commands.pass === null) {
    commands.pass = commands.encoder.beginComputePass(
      timestamps === null ? {} : { timestampWrites: stampNext(timestamps, name) },
    );
    commands.boundKernel = null;
  }
  return commands.pass;
}

function writeParams(commands: Commands, params: readonly Scalar[]): number {
  const offset = commands.dispatchCount * SLOT_BYTES;
  const view = new DataView(commands.arenaBytes, offset, PARAMS_BYTES);
  params.forEach(({ type, value }, i) => {
    if (type === 'u32') view.setUint32(4 * i, value, true);
    else view.setFloat32(4 * i, value, true);
  });
  return offset;
}

/** Copies the first `bytes` of a storage into `target`, behind all that has been dispatched so far. */
export function copyOut(
  gpu: Gpu,
  source: Storage,
  target: GPUBuffer,
  targetOffset: number,
  bytes: number,
): void {
  const { commands, device } = gpu;
  endPass(commands);
  commands.encoder ??= device.createCommandEncoder();
  commands.encoder.copyBufferToBuffer(source.buffer, 0, target, targetOffset, bytes);
}

/** Sends what was dispatched so far to the device, which begins with it. Does not wait; reading does this by itself. */
export function submit(gpu: Gpu): void {
  const { commands, device } = gpu;
  if (commands.encoder === null) return;
  endPass(commands);
  if (commands.timestamps !== null) collectStamps(commands.timestamps, commands.encoder);
  device.queue.writeBuffer(commands.arena, 0, commands.arenaBytes, 0, commands.dispatchCount * SLOT_BYTES);
  device.queue.submit([commands.encoder.finish()]);
  commands.encoder = null;
  commands.dispatchCount = 0;
}

function endPass(commands: Commands): void {
  commands.pass?.end();
  commands.pass = null;
}

/** Writes `data` into a storage. The batch goes first: it may still read what the pooled buffer held. */
export function upload(gpu: Gpu, data: Float32Array | Uint32Array, who: string): Storage {
  const storage = allocate(gpu.memory, data.byteLength, who);
  submit(gpu);
  gpu.device.queue.writeBuffer(storage.buffer, 0, unshared(data));
  return storage;
}

/** Dawn crashes on views of a SharedArrayBuffer, which the types do not exclude: such data are copied. */
export function unshared(data: Float32Array | Uint32Array | Uint16Array): ArrayBufferView<ArrayBuffer> {
  return (data.buffer instanceof ArrayBuffer ? data : data.slice()) as ArrayBufferView<ArrayBuffer>;
}

interface Layout {
  readonly outputCount: number;
  readonly bindGroup: GPUBindGroupLayout;
  readonly pipeline: GPUPipelineLayout;
}

function layoutOf(gpu: Gpu, inputCount: number, outputCount: number): Layout {
  const { commands, device } = gpu;
  const key = 2 * inputCount + outputCount;
  const cached = commands.layouts.get(key);
  if (cached !== undefined) return cached;
  const visibility = computeStage;
  const entries: GPUBindGroupLayoutEntry[] = [
    {
      binding: 0,
      visibility,
      buffer: { type: 'uniform', hasDynamicOffset: true, minBindingSize: PARAMS_BYTES },
    },
  ];
  for (let i = 1; i <= inputCount + outputCount; i++) {
    const type = i <= inputCount ? 'read-only-storage' : 'storage';
    entries.push({ binding: i, visibility, buffer: { type } });
  }
  const bindGroup = device.createBindGroupLayout({ entries });
  const pipeline = device.createPipelineLayout({ bindGroupLayouts: [bindGroup] });
  const layout = { outputCount, bindGroup, pipeline };
  commands.layouts.set(key, layout);
  return layout;
}

function pipelineOf(gpu: Gpu, kernel: Kernel, layout: Layout): GPUComputePipeline {
  const { commands, device } = gpu;
  const cached = commands.pipelines.get(kernel);
  if (cached !== undefined) return cached;
  device.pushErrorScope('validation');
  const module = device.createShaderModule({ label: kernel.name, code: kernel.code });
  const pipeline = device.createComputePipeline({
    label: kernel.name,
    layout: layout.pipeline,
    compute: { module, entryPoint: 'main' },
  });
  const check = device.popErrorScope().then(
    (error) => {
      commands.checks.delete(check);
      if (error === null) return;
      commands.compileErrors.push(`kernel ${kernel.name}: expected WGSL that compiles, got ${error.message}`);
    },
    () => undefined, // the device went away; its own promise tells
  );
  commands.checks.add(check);
  commands.pipelines.set(kernel, pipeline);
  return pipeline;
}

function bindGroupOf(gpu: Gpu, layout: Layout, bindings: readonly Binding[]): GPUBindGroup {
  const { commands, device } = gpu;
  let key = layout.outputCount === 1 ? '' : '2:';
  for (const { storage, byteOffset, byteLength } of bindings) {
    key += `${storage.id}@${byteOffset}+${byteLength},`;
  }
  const cached = commands.bindGroups.get(key);
  if (cached !== undefined) return cached;
  const bindGroup = device.createBindGroup({
    layout: layout.bindGroup,
    entries: [
      { binding: 0, resource: { buffer: commands.arena, size: PARAMS_BYTES } },
      ...bindings.map(({ storage, byteOffset, byteLength }, i) => ({
        binding: i + 1,
        resource: { buffer: storage.buffer, offset: byteOffset, size: byteLength },
      })),
    ],
  });
  commands.bindGroups.set(key, bindGroup);
  commands.uncollected++;
  for (const { storage } of bindings) {
    const keys = commands.bindGroupsOfStorage.get(storage.id);
    if (keys === undefined) commands.bindGroupsOfStorage.set(storage.id, [key]);
    else keys.push(key);
  }
  return bindGroup;
}

/**
 * Begins the cache of bind groups anew when it has grown too large. Called where the device is waited for: a bind group
 * cannot be destroyed, it goes when it is collected and the queue moves on, and V8 does not know that each one costs
 * lavapipe a memory mapping, of which Linux allows 65,530.
 */
export function renewBindGroups(commands: Commands, collectGarbage: () => void): void {
  if (commands.uncollected < MOST_BIND_GROUPS) return;
  commands.bindGroups.clear();
  commands.bindGroupsOfStorage.clear();
  commands.uncollected = 0;
  collectGarbage();
}

/** Drops the bind groups that name a storage, before its buffer is destroyed. */
export function forgetStorage(commands: Commands, storage: Storage): void {
  for (const key of commands.bindGroupsOfStorage.get(storage.id) ?? []) commands.bindGroups.delete(key);
  commands.bindGroupsOfStorage.delete(storage.id);
}
