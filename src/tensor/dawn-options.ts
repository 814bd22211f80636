// What a user may ask of Dawn, checked. SPEC T-19.1.
//
// Dawn ignores the names of toggles that it does not know, so the known ones are listed here.

import type { DoorName } from './dawn-doors.ts';

export interface DawnOptions {
  /** A part of the adapter's name, such as 'llvmpipe'. Only in Node. */
  readonly adapterName?: string;
  /** Dawn's toggles by name, one with a leading '!' is switched off. Only in Node. */
  readonly toggles?: readonly string[];
  /** Try this door and no other. Without it the variable VISIONZIP_DRIVER may name one. */
  readonly driver?: DoorName;
  /** Look here for the private driver instead of in the cache folder. */
  readonly driverFolder?: string;
}

const NODE_DOORS: readonly string[] = ['system', 'nvidia-egl', 'private', 'warp'];
const TOGGLES: readonly string[] = [
  'allow_unsafe_apis',
  'disable_robustness',
  'disable_symbol_renaming',
  'disable_workgroup_init',
  'dump_shaders',
  'dump_shaders_on_failure',
  'enable_immediate_error_handling',
  'skip_validation',
  'timestamp_quantization',
  'use_user_defined_labels_in_backend',
  'vulkan_enable_f16_on_nvidia',
];

/** The options in the form in which Dawn's create() takes them. Throws RangeError for a toggle it does not list. */
export function dawnFlags({ adapterName, toggles = [] }: DawnOptions): string[] {
  const unknown = toggles.find((name) => !TOGGLES.includes(name.replace(/^!/, '')));
  if (unknown !== undefined)
    throw new RangeError(`openGpu: expected toggles out of ${TOGGLES.join(', ')}, got ${unknown}`);
  const on = ['vulkan_enable_f16_on_nvidia', ...toggles.filter((name) => !name.startsWith('!'))];
  const off = toggles.filter((name) => name.startsWith('!')).map((name) => name.slice(1));
  const flags = [`enable-dawn-features=${on.filter((name) => !off.includes(name)).join(',')}`];
  if (off.length > 0) flags.push(`disable-dawn-features=${off.join(',')}`);
  if (adapterName !== undefined) flags.push(`adapter=${adapterName}`);
  return flags;
}

/** The only door to try, or null for all of them in their order. Throws RangeError for a name that is none. */
export function chosenDoor(options: DawnOptions): DoorName | null {
  const name =
    options.driver ?? (options.driverFolder === undefined ? process.env.VISIONZIP_DRIVER : 'private');
  if (name === undefined || name === '') return null;
  if (!NODE_DOORS.includes(name))
    throw new RangeError(`openGpu: expected driver ${NODE_DOORS.join(', ')}, got ${name}`);
  return name as DoorName;
}
