// The way to a WebGPU adapter: the browser's, or Dawn's in Node. SPEC T-19.
//
// The npm package `webgpu` is loaded only where navigator.gpu is absent, and only when a device is
// asked for. Its name is held in a variable so that bundlers for browsers leave it alone.

import { type DoorName, explainLoadFailure, type Finding, type HostFacts, nextDoor } from './dawn-doors.ts';
import {
  driverFolder,
  garbageCollector,
  hasVulkanLoader,
  loadDriverFolder,
  mayHaveOtherAdapters,
  prepareEnvironment,
  readHostFacts,
  softwareMemoryBudget,
  withDriver,
  writeEglDriver,
} from './dawn-files.ts';
import { chosenDoor, type DawnOptions, dawnFlags } from './dawn-options.ts';
import { GpuError } from './errors.ts';

export type { DoorName } from './dawn-doors.ts';
export type { DawnOptions } from './dawn-options.ts';

export interface DawnDoor {
  readonly gpu: GPU; //                         kept referenced for the life of the process (T-19.7)
  readonly adapter: GPUAdapter; //              high performance first; gives one device
  readonly driver: DoorName;
  readonly memoryBudgetBytes: number | null; // of a software adapter in Node; null elsewhere
  readonly inNode: boolean;
  /** Runs JavaScript's garbage collection now, where that can be had (Node). */
  collectGarbage(): void;
}

interface DawnModule {
  create(options: string[]): GPU;
}

/** What is behind a door that opens. */
interface Room {
  readonly gpu: GPU;
  readonly adapter: GPUAdapter;
}

// Dawn's objects hold raw pointers to the instance: when it is collected, the process crashes.
const keptInstances: GPU[] = [];
const openRooms = new Map<string, { readonly gpu: GPU; readonly driver: DoorName }>();
let turn: Promise<unknown> = Promise.resolve();

/**
 * Opens the first door behind which there is an adapter and returns it. The order is T-19.2.
 * Throws GpuError with one line that helps when there is none, RangeError for an unknown option.
 */
export async function openDawn(options: DawnOptions = {}): Promise<DawnDoor> {
  if (globalThis.navigator?.gpu !== undefined) return openBrowser(navigator.gpu, options);
  if (globalThis.process?.versions?.node === undefined) {
    throw new GpuError('openGpu: expected a browser with WebGPU or Node, got no navigator.gpu');
  }
  const flags = dawnFlags(options);
  // One at a time: doors are chosen through the environment, which the whole process shares.
  const opened = turn.then(() => openNode(options, flags));
  turn = opened.catch(() => undefined);
  return opened;
}

async function openBrowser(gpu: GPU, options: DawnOptions): Promise<DawnDoor> {
  for (const name of ['adapterName', 'toggles', 'driver', 'driverFolder'] as const) {
    if (options[name] !== undefined)
      throw new RangeError(`openGpu: expected no ${name} in a browser, got ${options[name]}`);
  }
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (adapter === null) {
    throw new GpuError(
      'openGpu: expected a WebGPU adapter, got none from this browser; its GPU page (about:gpu) says why',
    );
  }
  return {
    gpu,
    adapter,
    driver: 'browser',
    memoryBudgetBytes: null,
    inNode: false,
    collectGarbage: () => {},
  };
}

async function openNode(options: DawnOptions, flags: readonly string[]): Promise<DawnDoor> {
  const dawn = await loadDawn();
  const only = chosenDoor(options);
  const folder = options.driverFolder ?? driverFolder();
  const key = JSON.stringify([flags, only, folder]);

  const known = openRooms.get(key);
  const again = known === undefined ? null : await requestAdapter(known.gpu);
  if (known !== undefined && again !== null)
    return nodeDoor(known.driver, { gpu: known.gpu, adapter: again });

  prepareEnvironment();
  const facts = readHostFacts(only, folder);
  const rooms = new Map<DoorName, Room>();
  const findings: Partial<Record<DoorName, Finding>> = {};
  for (;;) {
    const step = nextDoor(facts, findings);
    if (step.kind === 'give-up') throw noAdapter(facts, findings, options);
    const room = rooms.get(step.door);
    if (step.kind === 'take' && room !== undefined) {
      openRooms.set(key, { gpu: room.gpu, driver: step.door });
      return nodeDoor(step.door, room);
    }
    const found = await openDoor(dawn, step.door, flags, folder);
    if (found !== null) rooms.set(step.door, found);
    findings[step.door] = finding(found, options);
  }
}

function finding(room: Room | null, options: DawnOptions): Finding {
  if (room === null) return 'none';
  return room.adapter.info.isFallbackAdapter && options.adapterName === undefined ? 'software' : 'hardware';
}

function nodeDoor(driver: DoorName, { gpu, adapter }: Room): DawnDoor {
  const memoryBudgetBytes = adapter.info.isFallbackAdapter ? softwareMemoryBudget() : null;
  return { gpu, adapter, driver, memoryBudgetBytes, inNode: true, collectGarbage: garbageCollector() };
}

async function openDoor(
  dawn: DawnModule,
  door: DoorName,
  flags: readonly string[],
  folder: string,
): Promise<Room | null> {
  switch (door) {
    case 'browser':
      return null;
    case 'system':
      return hasVulkanLoader() ? openSystem(dawn, flags) : null;
    case 'nvidia-egl':
      return withDriver(writeEglDriver(), () => enter(dawn, flags));
    case 'private':
      return withDriver(loadDriverFolder(folder), () => enter(dawn, flags));
    case 'warp':
      return enter(
        dawn,
        flags.some((flag) => flag.startsWith('adapter=')) ? flags : [...flags, 'adapter=Microsoft'],
      );
  }
}

/** The system's adapter; where that is a software one, any other that is not (T-19.4). */
async function openSystem(dawn: DawnModule, flags: readonly string[]): Promise<Room | null> {
  const room = await enter(dawn, flags);
  if (room === null || !room.adapter.info.isFallbackAdapter || !mayHaveOtherAdapters()) return room;
  if (flags.some((flag) => flag.startsWith('adapter='))) return room;
  for (const name of await adapterNames(dawn)) {
    const other = await enter(dawn, [...flags, `adapter=${name}`]);
    if (other !== null && !other.adapter.info.isFallbackAdapter) return other;
  }
  return room;
}

async function enter(dawn: DawnModule, flags: readonly string[]): Promise<Room | null> {
  const gpu = dawn.create([...flags]); // a new one each time: an instance that failed once goes on failing
  keptInstances.push(gpu);
  const adapter = await requestAdapter(gpu);
  return adapter === null ? null : { gpu, adapter };
}

async function requestAdapter(gpu: GPU): Promise<GPUAdapter | null> {
  try {
    // Without a preference Dawn takes the first adapter, which may be a software one.
    return await gpu.requestAdapter({ powerPreference: 'high-performance' });
  } catch {
    return null; // no adapter has the name that was asked for
  }
}

/** Dawn names its adapters only in the message about one that does not exist. */
async function adapterNames(dawn: DawnModule): Promise<readonly string[]> {
  const gpu = dawn.create(['adapter=no adapter has this name']);
  keptInstances.push(gpu);
  const message = await gpu.requestAdapter().then(() => '', String);
  return [...message.matchAll(/name: '(.*)'/g)].map((match) => match[1] ?? '');
}

async function loadDawn(): Promise<DawnModule> {
  const name = 'webgpu';
  try {
    return (await import(/* @vite-ignore */ /* webpackIgnore: true */ name)) as DawnModule;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new GpuError(explainLoadFailure(text, process.platform, process.arch), { cause: error });
  }
}

function noAdapter(facts: HostFacts, findings: object, { adapterName }: DawnOptions): GpuError {
  const wanted =
    adapterName === undefined ? 'a WebGPU adapter' : `an adapter with '${adapterName}' in its name`;
  if (facts.driverIsForced) {
    const names = 'VK_DRIVER_FILES or VK_ICD_FILENAMES';
    return new GpuError(
      `openGpu: expected ${wanted} from the driver in ${names}, got none; unset it to try the others`,
    );
  }
  if (facts.only !== null && facts.only !== 'private') {
    const names = 'VISIONZIP_DRIVER or the option driver';
    return new GpuError(
      `openGpu: expected ${wanted} from '${facts.only}', as ${names} says, got none; unset it to try the others`,
    );
  }
  const help =
    facts.platform === 'linux' ? '`npm run setup` in the clone builds a software driver without root, ' : '';
  const tried = Object.keys(findings).join(', ');
  return new GpuError(
    `openGpu: expected ${wanted}, got none (tried: ${tried}); ${help}` +
      '`visionzip doctor` says what is missing',
  );
}
