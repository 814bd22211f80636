// Flags of the WebGPU specification that are used here. Browsers have them as globals, Dawn in Node does not, and a
// library does not add globals.

export const bufferUsage = {
  mapRead: 0x0001,
  copySource: 0x0004,
  copyTarget: 0x0008,
  uniform: 0x0040,
  storage: 0x0080,
  queryResolve: 0x0200,
} as const;
export const computeStage = 0x4;
export const mapForReading = 0x1;
