// The door to mozjpeg in WebAssembly (@jsquash/jpeg). SPEC M-1.3, M-1.4.
//
// Every picture gets an instance of its own, since a decoder that gave up is in no state to go on and
// WebAssembly memory never shrinks. In Node the compiled code is handed in; in browsers the library
// fetches it from beside itself.

import createDecoder from '@jsquash/jpeg/codec/dec/mozjpeg_dec.js';

export interface DecodedJpeg {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8ClampedArray; // [height, width, 4]  R G B and 255
}

export interface JpegOutcome {
  readonly decoded: DecodedJpeg | null; // null: given up
  readonly complaints: readonly string[]; // libjpeg's first warning, and its error if it gave up
}

/** Decodes without rotating. Throws whatever the platform throws if the decoder cannot be loaded. */
export async function decodeJpegWasm(bytes: Uint8Array): Promise<JpegOutcome> {
  const complaints: string[] = [];
  const options: DecoderOptions = {
    noInitialRun: true,
    print: () => {},
    printErr: (line) => complaints.push(line),
  };
  if (isNode()) options.instantiateWasm = instantiateCompiled(await nodeModule());
  const decoder = await (createDecoder as unknown as DecoderFactory)(options);
  standInForImageData();
  try {
    return { decoded: decoder.decode(bytes, false), complaints };
  } catch (cause) {
    // libjpeg's error exit, a trap or a failed allocation: all end this instance
    complaints.push(cause instanceof Error ? cause.message : String(cause));
    return { decoded: null, complaints };
  } finally {
    forgetImageData();
  }
}

// The part of Emscripten's interface that is used; the library's own types leave it open.
interface DecoderOptions {
  readonly noInitialRun: boolean;
  readonly print: (line: string) => void;
  readonly printErr: (line: string) => void;
  instantiateWasm?: (imports: WebAssembly.Imports, ready: (instance: WebAssembly.Instance) => void) => object;
}
type DecoderFactory = (options: DecoderOptions) => Promise<Decoder>;
interface Decoder {
  decode(bytes: Uint8Array, preserveOrientation: boolean): DecodedJpeg | null;
}

function instantiateCompiled(module: WebAssembly.Module): NonNullable<DecoderOptions['instantiateWasm']> {
  return (imports, ready) => {
    const instance = new WebAssembly.Instance(module, imports);
    ready(instance);
    return instance.exports;
  };
}

function isNode(): boolean {
  return typeof process === 'object' && typeof process.versions?.node === 'string';
}

let compiled: Promise<WebAssembly.Module> | undefined;

// The built-in modules are asked for at run time, so that a bundle for browsers never sees their names
// in an import.
function nodeModule(): Promise<WebAssembly.Module> {
  compiled ??= (async () => {
    const { createRequire } = process.getBuiltinModule('node:module');
    const { readFile } = process.getBuiltinModule('node:fs/promises');
    const path = createRequire(import.meta.url).resolve('@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm');
    return WebAssembly.compile(await readFile(path));
  })();
  return compiled;
}

// Where there is no ImageData, as in Node, the library leaves a stand-in on globalThis when it is loaded
// and looks it up again while it decodes. Other code may take it for a browser's, so it is there for the
// length of one call only, during which nothing else runs.
const platformHasImageData = 'ImageData' in globalThis;

function standInForImageData(): void {
  if (platformHasImageData) return;
  Reflect.set(globalThis, 'ImageData', plainImageData);
}

function forgetImageData(): void {
  if (!platformHasImageData) Reflect.deleteProperty(globalThis, 'ImageData');
}

// Called with `new`, which then gives the object returned.
function plainImageData(data: Uint8ClampedArray, width: number, height: number): DecodedJpeg {
  return { data, width, height };
}
