// A site that is served to this machine alone, and may ask nothing of any other: the explorer, and pages of tests.

import { readFile, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname } from 'node:path';

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.wasm': 'application/wasm',
};

// Scripts, styles, pictures and requests of this origin alone. WebAssembly is compiled (the JPEG decoder), nothing else is.
const POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const HEADERS = {
  'Content-Security-Policy': POLICY,
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'Cache-Control': 'no-store',
  'Accept-Ranges': 'bytes',
};

/**
 * Serves on 127.0.0.1. `find` gives, for the path of a request, what is there: its bytes, the path of a file, or null.
 * Port 0 is any free one. Returns { origin, close }.
 */
export async function serveSite(find, port = 0) {
  const server = createServer((request, response) => {
    answer(find, request, response).catch((error) => {
      if (!response.headersSent) response.writeHead(500, HEADERS);
      response.end(error.message);
    });
  });
  await new Promise((done, failed) => {
    server.once('error', failed);
    server.listen(port, '127.0.0.1', done);
  });
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function answer(find, { method, url, headers }, response) {
  const { pathname } = new URL(url, 'http://127.0.0.1');
  const path = pathname === '/' ? '/index.html' : pathname;
  const found = find(path);
  const bytes = typeof found === 'string' ? await bytesOf(found) : found;
  if ((method !== 'GET' && method !== 'HEAD') || bytes === null) {
    response.writeHead(bytes === null ? 404 : 405, HEADERS).end();
    return;
  }
  const type = TYPES[extname(path)] ?? 'application/octet-stream';
  const range = rangeOf(headers.range, bytes.length);
  if (range !== null && range.first >= bytes.length) {
    response.writeHead(416, { ...HEADERS, 'Content-Range': `bytes */${bytes.length}` }).end();
    return;
  }
  const part = range === null ? bytes : bytes.subarray(range.first, range.last + 1);
  response.writeHead(range === null ? 200 : 206, {
    ...HEADERS,
    'Content-Type': type,
    'Content-Length': part.length,
    ...(range !== null && { 'Content-Range': `bytes ${range.first}-${range.last}/${bytes.length}` }),
  });
  response.end(method === 'HEAD' ? undefined : part);
}

/** The one range that is asked for, or null: other forms of the header may be ignored (RFC 9110, 14.2). */
function rangeOf(header, length) {
  const match = /^bytes=(\d+)-(\d*)$/.exec(header ?? '');
  if (match === null) return null;
  const last = match[2] === '' ? length - 1 : Math.min(Number(match[2]), length - 1);
  return { first: Number(match[1]), last };
}

async function bytesOf(path) {
  try {
    return (await stat(path)).isFile() ? await readFile(path) : null;
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null;
    throw error;
  }
}
