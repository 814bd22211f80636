// The one door through which a model's files come in. SPEC M-2.1, M-2.2.
//
// Whoever opens the door (a folder in Node, a server in a browser) implements two small interfaces;
// everything else in src/models reads through them and never sees a path.

import { FileError } from '../../tensor/errors.ts';

/** One open file. `size` is in bytes and does not change while the file is open. */
export interface ModelFile {
  readonly name: string;
  readonly size: number;
  /** Exactly the bytes [offset, offset + length). Throws FileError if the file ends before. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Gives the file back to the system. */
  close(): Promise<void>;
}

/** The files of one model. `where` names the place in messages. */
export interface ModelFiles {
  readonly where: string;
  /** Throws FileError if the file is missing or is not a regular file. */
  open(name: string): Promise<ModelFile>;
  /** Whether there is a file of this name. */
  has(name: string): Promise<boolean>;
}

const MB = 1_000_000;

/** Largest accepted sizes in bytes, so that a hostile file cannot fill the memory. */
export const sizeCaps: {
  readonly index: number;
  readonly tokenizer: number;
  readonly config: number;
} = { index: 100 * MB, tokenizer: 64 * MB, config: 1 * MB };

/**
 * Throws FileError unless `name` is one plain file name: no folder, no drive, no leading dot.
 * Names inside a checkpoint's own files are not to be trusted.
 */
export function checkFileName(where: string, name: string): void {
  if (name.length > 255 || !/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)) {
    throw new FileError(`${where}: expected a plain file name, got ${quoted(name)}`);
  }
}

/** A value as it appears in a message: JSON, cut to 80 characters. */
export function quoted(value: unknown): string {
  const text = jsonText(value);
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}

function jsonText(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return 'a value with too many levels to show'; // JSON.parse takes any number of them, the stack does not
  }
}

/** The whole of a file of at most `maxBytes`. Throws FileError for a longer one. */
export async function readBytes(files: ModelFiles, name: string, maxBytes: number): Promise<Uint8Array> {
  const file = await files.open(name);
  try {
    if (file.size > maxBytes) {
      throw new FileError(`${files.where}/${name}: expected at most ${maxBytes} bytes, got ${file.size}`);
    }
    return await file.read(0, file.size);
  } finally {
    await file.close();
  }
}

/** The whole of a file as text. It must be valid UTF-8 of at most `maxBytes`; a BOM is kept. */
export async function readText(files: ModelFiles, name: string, maxBytes: number): Promise<string> {
  return decodeUtf8(`${files.where}/${name}`, await readBytes(files, name, maxBytes));
}

/** Strict UTF-8: throws FileError where the bytes are not valid. */
export function decodeUtf8(who: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new FileError(`${who}: expected valid UTF-8, got ${bytes.length} bytes that are not`);
  }
}

/** The whole of a file as JSON (JSON.parse; a schema checks it). Throws FileError if it is not JSON. */
export async function readJson(files: ModelFiles, name: string, maxBytes: number): Promise<unknown> {
  const text = await readText(files, name, maxBytes);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new FileError(`${files.where}/${name}: expected JSON, got ${(error as Error).message}`);
  }
}

/** Throws FileError unless a file of `size` bytes holds [offset, offset + length). */
export function checkRange(who: string, size: number, offset: number, length: number): void {
  if (offset + length <= size) return;
  throw new FileError(`${who}: expected ${length} bytes at ${offset}, got a file of ${size}`);
}
