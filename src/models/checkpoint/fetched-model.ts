// A folder on a web server as ModelFiles: for browsers, and for Node as well. SPEC M-2.24.
//
// Tensors are read by HTTP range requests. A server that does not know them sends the whole file,
// which is then kept until it is closed.

import { FileError } from '../../tensor/errors.ts';
import { checkFileName, checkRange, type ModelFile, type ModelFiles } from './model-files.ts';

/** The files below `baseUrl`. Throws FileError for a missing file, a refused or a broken connection. */
export function fetchedModel(baseUrl: string): ModelFiles {
  const where = baseUrl.replace(/\/+$/, '');
  return {
    where,
    async open(name) {
      checkFileName(where, name);
      return openUrl(`${where}/${name}`, name);
    },
    async has(name) {
      checkFileName(where, name);
      return (await request(`${where}/${name}`, { method: 'HEAD' })).ok;
    },
  };
}

async function openUrl(url: string, name: string): Promise<ModelFile> {
  const response = await request(url, { headers: { Range: 'bytes=0-0' } });
  const size = totalSize(response);
  if (size !== null) {
    await bodyOf(url, response);
    return {
      name,
      size,
      read: (offset, length) => readRange(url, size, offset, length),
      close: async () => {},
    };
  }
  // Not partial, or without a total that may be seen: the whole file, once. An empty file has no range.
  const whole = response.status === 206 || response.status === 416 ? await request(url, {}) : response;
  if (!whole.ok) throw new FileError(`${url}: expected a file, got HTTP ${whole.status}`);
  const bytes = await bodyOf(url, whole);
  return {
    name,
    size: bytes.length,
    async read(offset, length) {
      checkRange(url, bytes.length, offset, length);
      return bytes.slice(offset, offset + length);
    },
    close: async () => {},
  };
}

function totalSize(response: Response): number | null {
  const total = /^bytes 0-0\/(\d+)$/.exec(response.headers.get('Content-Range') ?? '')?.[1];
  return response.status === 206 && total !== undefined ? Number(total) : null;
}

async function readRange(url: string, size: number, offset: number, length: number): Promise<Uint8Array> {
  checkRange(url, size, offset, length);
  if (length === 0) return new Uint8Array(0);
  const last = offset + length - 1;
  const response = await request(url, { headers: { Range: `bytes=${offset}-${last}` } });
  const range = response.headers.get('Content-Range');
  if (response.status !== 206 || range !== `bytes ${offset}-${last}/${size}`) {
    const got = `HTTP ${response.status}, ${range}`;
    throw new FileError(`${url}: expected bytes ${offset}-${last}/${size}, got ${got}`);
  }
  const bytes = await bodyOf(url, response);
  if (bytes.length !== length) throw new FileError(`${url}: expected ${length} bytes, got ${bytes.length}`);
  return bytes;
}

async function request(url: string, options: RequestInit): Promise<Response> {
  return fetch(url, options).catch((error: Error) => {
    throw new FileError(`${url}: expected an answer, got ${error.message}`);
  });
}

async function bodyOf(url: string, response: Response): Promise<Uint8Array> {
  const body = await response.arrayBuffer().catch((error: Error) => {
    throw new FileError(`${url}: expected the whole answer, got ${error.message}`);
  });
  return new Uint8Array(body);
}
