// The device: opened once, owned by the caller, closed by the caller. SPEC T-1, T-3.
//
// Errors that the device reports on its own time are kept and thrown by the next read(), with the label of the
// kernel or tensor that caused them.

import { type DawnDoor, type DawnOptions, openDawn } from './dawn.ts';
import { GpuError } from './errors.ts';
import { type Commands, createCommands, forgetStorage, renewBindGroups, submit } from './kernel.ts';
import { createMemory, type Memory, trim } from './memory.ts';

/** How to find the adapter (DawnOptions; only in Node), and how much memory to use. */
export interface GpuOptions extends DawnOptions {
  /** Bytes that tensors may occupy; by default 70 % of the memory that is there on a software adapter, else no limit. */
  readonly memoryBudgetBytes?: number;
  /** False: only kernels that run on every adapter. By default subgroups are used where they are faster. */
  readonly subgroups?: boolean;
  /** True: products with f16 weights on tensor cores, where the adapter has them and they pass a test (T-28). Off by default. */
  readonly subgroupMatrix?: boolean;
}

/** The tensor-core product: not asked for, not to be had, not tested yet, or what the test found. */
export type SubgroupMatrixState = 'off' | 'absent' | 'untested' | 'passed' | 'failed';

export interface AdapterSummary {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  readonly software: boolean;
}

export interface Gpu {
  readonly device: GPUDevice;
  readonly adapter: AdapterSummary;
  readonly features: ReadonlySet<string>;
  readonly subgroupSize: number | null; // null if there are no subgroups or their size varies
  subgroupMatrix: SubgroupMatrixState; // used only if it has 'passed'
  readonly memory: Memory;
  readonly commands: Commands;
  readonly mapping: Set<GPUBuffer>; // Dawn dies if a buffer is collected while it is being mapped
  readonly napping: boolean; //        whether waiting must not poll at full speed (Dawn in Node)
  /** Notes an error; the next read throws it. Only the first one counts: the others follow from it. */
  fail(message: string): void;
  /** Throws what has gone wrong since the last check. */
  check(): Promise<void>;
  /** Waits for the work submitted so far and frees the device. A second call does nothing. */
  close(): void;
}

/**
 * Opens the adapter that suits heavy work best, with all the limits it has, and keeps it referenced for as long as the
 * process lives: Dawn crashes when its objects are collected too early.
 * Throws GpuError, with the line that helps on this system, if there is none.
 */
export async function openDevice(options: GpuOptions = {}): Promise<Gpu> {
  const toggles = options.subgroupMatrix
    ? { toggles: [...(options.toggles ?? []), 'allow_unsafe_apis'] }
    : {};
  const door = await openDawn(globalThis.navigator?.gpu === undefined ? { ...options, ...toggles } : options);
  const features = wantedFeatures(door.adapter, options.subgroupMatrix === true);
  const request = { requiredFeatures: features, requiredLimits: allLimits(door.adapter) };
  const device = await door.adapter.requestDevice(request).catch((cause: unknown) => {
    throw new GpuError(`openGpu: expected a device from the adapter, got ${String(cause)}`, { cause });
  });
  return wrapDevice(door, device, options);
}

const SUBGROUP_MATRIX = 'chromium-experimental-subgroup-matrix' as GPUFeatureName;

function wantedFeatures(adapter: GPUAdapter, subgroupMatrix: boolean): GPUFeatureName[] {
  const wanted: GPUFeatureName[] = ['shader-f16', 'subgroups', 'timestamp-query'];
  if (subgroupMatrix) wanted.push(SUBGROUP_MATRIX);
  return wanted.filter((feature) => adapter.features.has(feature));
}

/** What of an adapter and its device the tensor-core product needs to know. */
export interface SubgroupMatrixFacts {
  readonly features: { has(name: string): boolean };
  readonly subgroupMinSize: number;
  readonly subgroupMaxSize: number;
  readonly workgroupBytes: number;
  readonly configs: Iterable<{
    componentType: string;
    resultComponentType: string;
    M: number;
    N: number;
    K: number;
  }>;
}

/** SPEC T-28.1: f16 x f16 -> f32 in squares of 16, subgroups of 32 lanes, 24 KiB of workgroup memory. */
export function hasSubgroupMatrix(facts: SubgroupMatrixFacts): boolean {
  const { features, subgroupMinSize, subgroupMaxSize, workgroupBytes, configs } = facts;
  const allowed = [SUBGROUP_MATRIX, 'shader-f16', 'subgroups'].every((name) => features.has(name));
  const fits = subgroupMinSize === 32 && subgroupMaxSize === 32 && workgroupBytes >= 24 * 1024;
  const square = [...configs].some(
    ({ componentType, resultComponentType, M, N, K }) =>
      componentType === 'f16' && resultComponentType === 'f32' && M === 16 && N === 16 && K === 16,
  );
  return allowed && fits && square;
}

function subgroupMatrixState(
  device: GPUDevice,
  info: GPUAdapterInfo,
  options: GpuOptions,
): SubgroupMatrixState {
  if (options.subgroupMatrix !== true || options.subgroups === false) return 'off';
  const configs = (Reflect.get(info, 'subgroupMatrixConfigs') ?? []) as SubgroupMatrixFacts['configs'];
  const { subgroupMinSize, subgroupMaxSize } = info;
  const workgroupBytes = device.limits.maxComputeWorkgroupStorageSize;
  const facts = { features: device.features, subgroupMinSize, subgroupMaxSize, workgroupBytes, configs };
  return hasSubgroupMatrix(facts) ? 'untested' : 'absent';
}

function fixedSubgroupSize(device: GPUDevice, info: GPUAdapterInfo): number | null {
  if (!device.features.has('subgroups')) return null;
  return info.subgroupMinSize === info.subgroupMaxSize ? info.subgroupMinSize : null;
}

function allLimits(adapter: GPUAdapter): Record<string, number> {
  const limits: Record<string, number> = {};
  for (const name in adapter.limits) {
    const value: unknown = Reflect.get(adapter.limits, name);
    if (typeof value === 'number') limits[name] = value;
  }
  return limits;
}

function wrapDevice(door: DawnDoor, device: GPUDevice, options: GpuOptions): Gpu {
  let failure: string | null = null;
  let lost: string | null = null;
  let closed = false;
  const fail = (message: string): void => {
    failure ??= message;
  };
  device.addEventListener('uncapturederror', (event) => {
    event.preventDefault();
    fail(event.error.message);
  });
  device.lost.then(({ reason, message }) => {
    lost = `the device was lost (${reason}${message === '' ? '' : `: ${message}`})`;
  });

  const commands = createCommands(device);
  const budget = options.memoryBudgetBytes ?? door.memoryBudgetBytes;
  const memory = createMemory(device, budget, {
    beforeDestroy: () => submit(gpu),
    onDestroy: (storage) => forgetStorage(commands, storage),
    onOutOfMemory: fail,
  });
  const info = door.adapter.info;

  const gpu: Gpu = {
    device,
    adapter: {
      vendor: info.vendor,
      architecture: info.architecture,
      device: info.device,
      description: info.description,
      software: info.isFallbackAdapter,
    },
    features: new Set(device.features),
    subgroupSize: options.subgroups === false ? null : fixedSubgroupSize(device, info),
    subgroupMatrix: subgroupMatrixState(device, info, options),
    memory,
    commands,
    mapping: new Set(),
    napping: door.inNode,
    fail,
    async check() {
      await Promise.all(commands.checks);
      renewBindGroups(commands, door.collectGarbage);
      const message = commands.compileErrors[0] ?? failure;
      commands.compileErrors.length = 0;
      failure = null;
      if (closed) throw new GpuError('gpu: expected an open device, got a closed one');
      if (message !== null) throw new GpuError(message);
      if (lost !== null) throw new GpuError(`gpu: expected a device, but ${lost}`);
    },
    close() {
      if (closed) return;
      closed = true;
      openDevices.delete(device);
      trim(memory);
      device.destroy();
    },
  };
  if (door.inNode) destroyOnExit(device);
  return gpu;
}

// lavapipe's threads race the exit handlers of the process unless the devices are destroyed before.
const openDevices = new Set<GPUDevice>();
let exitIsAwaited = false;

function destroyOnExit(device: GPUDevice): void {
  openDevices.add(device);
  if (exitIsAwaited) return;
  exitIsAwaited = true;
  process.once('exit', () => {
    for (const open of openDevices) open.destroy();
  });
}

/** Waits until the work dispatched so far is done. Reads nothing back; for measuring time. */
export async function finish(gpu: Gpu): Promise<void> {
  submit(gpu);
  await settled(gpu, gpu.device.queue.onSubmittedWorkDone());
  await gpu.check();
}

const SPIN_MS = 2;
const NAP_MS = 0.5;

/**
 * Awaits a promise of the device. Dawn in Node polls without a pause while one is pending, which takes a core away from
 * a software adapter: after the first 2 ms this sleeps half a millisecond between two turns of the event loop.
 */
export async function settled<T>(gpu: Gpu, promise: Promise<T>): Promise<T> {
  if (!gpu.napping) return promise;
  let pending = true;
  const done = (): void => {
    pending = false;
  };
  promise.then(done, done);
  const bed = new Int32Array(new SharedArrayBuffer(4));
  const start = performance.now();
  while (pending) {
    await new Promise((resolve) => setImmediate(resolve));
    if (pending && performance.now() - start > SPIN_MS) Atomics.wait(bed, 0, 0, NAP_MS);
  }
  return promise;
}
