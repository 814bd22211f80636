// Model files that live in memory: text, bytes, or anything else as JSON.

import type { ModelFile, ModelFiles } from '../../../src/models/checkpoint/model-files.ts';
import { FileError } from '../../../src/tensor/errors.ts';

export function memoryFile(name: string, bytes: Uint8Array): ModelFile {
  return {
    name,
    size: bytes.length,
    read: async (offset, length) => {
      if (offset + length > bytes.length) {
        throw new Error(`${name}: read of ${length} at ${offset} beyond the end ${bytes.length}`);
      }
      return bytes.slice(offset, offset + length);
    },
    close: async () => {},
  };
}

export interface MemoryFiles extends ModelFiles {
  /** Files opened and not closed. */
  openCount(): number;
}

export function memoryFiles(contents: { readonly [name: string]: unknown }): MemoryFiles {
  let openCount = 0;
  return {
    where: 'memory',
    openCount: () => openCount,
    has: async (name) => Object.hasOwn(contents, name),
    open: async (name) => {
      if (!Object.hasOwn(contents, name)) throw new FileError(`memory/${name}: expected a file, got none`);
      openCount++;
      const close = async (): Promise<void> => {
        openCount--;
      };
      return { ...memoryFile(name, toBytes(contents[name])), close };
    },
  };
}

function toBytes(content: unknown): Uint8Array {
  if (content instanceof Uint8Array) return content;
  return new TextEncoder().encode(typeof content === 'string' ? content : JSON.stringify(content));
}
