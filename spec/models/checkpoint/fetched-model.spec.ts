import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fetchedModel } from '../../../src/models/checkpoint/fetched-model.ts';
import { modelDirectory } from '../../../src/models/checkpoint/model-directory.ts';
import { openCheckpoint } from '../../../src/models/checkpoint/shard-index.ts';
import { FileError } from '../../../src/tensor/errors.ts';

const folder = 'golden/tiny-llava';
let served = 0; // bytes of bodies
let shrink = 0; // bytes that the file has lost since it was opened

/** Serves the folder, an empty file and a /plain/ copy that ignores ranges. */
function serve(): Server {
  return createServer((request, response) => {
    const ranged = !request.url?.startsWith('/plain/');
    const name = request.url?.split('/').pop() ?? '';
    if (name !== 'config.json' && name !== 'model.safetensors' && name !== 'empty.json') {
      response.writeHead(404).end('no such file');
      return;
    }
    const whole = name === 'empty.json' ? Buffer.alloc(0) : readFileSync(`${folder}/${name}`);
    const bytes = whole.subarray(0, whole.length - shrink);
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    if (range === null || !ranged) {
      served += bytes.length;
      response.writeHead(200, { 'Content-Length': bytes.length }).end(request.method === 'HEAD' ? '' : bytes);
      return;
    }
    const [first, last] = [Number(range[1]), Number(range[2])];
    if (first >= bytes.length) {
      response.writeHead(416).end();
      return;
    }
    const part = bytes.subarray(first, last + 1);
    served += part.length;
    response.writeHead(206, { 'Content-Range': `bytes ${first}-${last}/${bytes.length}` }).end(part);
  });
}

let server: Server;
let url: string;
beforeAll(async () => {
  server = serve();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

describe.each(['', '/plain'])('a server (%j)', (prefix) => {
  it('M-2.24 a fetched checkpoint gives the tensors that the folder gives', async () => {
    const fetched = await openCheckpoint(fetchedModel(`${url}${prefix}/`));
    const local = await openCheckpoint(modelDirectory(folder));
    const name = 'multi_modal_projector.linear_1.weight';
    expect(await fetched.floats(name, [128, 128])).toEqual(await local.floats(name, [128, 128]));
    await fetched.close();
    await local.close();
  });

  it('M-2.24 missing files and reads beyond the end are refused, an empty file is not', async () => {
    const files = fetchedModel(`${url}${prefix}`);
    expect(await files.has('config.json')).toBe(true);
    expect(await files.has('other.json')).toBe(false);
    await expect(files.open('other.json')).rejects.toThrow(/other\.json: expected a file, got HTTP 404/);
    await expect(files.open('../config.json')).rejects.toThrow(FileError);
    expect((await files.open('empty.json')).size).toBe(0);
    const file = await files.open('config.json');
    expect(Buffer.from(await file.read(0, file.size))).toEqual(readFileSync(`${folder}/config.json`));
    expect(await file.read(file.size, 0)).toHaveLength(0);
    await expect(file.read(1, file.size)).rejects.toThrow(FileError);
  });
});

it('M-2.24 where the server knows ranges, only what is asked for is fetched', async () => {
  served = 0;
  const file = await fetchedModel(url).open('model.safetensors');
  await file.read(1000, 500);
  expect(served).toBe(501);
});

it('M-2.24 a file that changes its size while it is open is refused', async () => {
  const file = await fetchedModel(url).open('config.json');
  shrink = 1;
  await expect(file.read(0, 10)).rejects.toThrow(/expected bytes 0-9\//);
  shrink = 0;
  await expect(file.read(0, 10)).resolves.toHaveLength(10);
});

it('M-2.24 a server that does not answer is refused by name', async () => {
  await expect(fetchedModel('http://127.0.0.1:1').open('config.json')).rejects.toThrow(FileError);
});
