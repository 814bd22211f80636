// The types of group.mjs, for spec/support/fuzz.

export class GoldenError extends Error {}

export interface Group {
  readonly name: string;
  readonly manifest: unknown;
  readonly tensors: ReadonlyMap<string, unknown>;
}

export function groupOf(name: string, manifestBytes: Uint8Array, tensorBytes: Uint8Array): Group;
export function faultsOf(group: Group): readonly string[];
