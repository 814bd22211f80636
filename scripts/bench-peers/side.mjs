// What a side is: a process that is told cases on standard input, a line each, and answers with a line of JSON.
//
//     { "case": "matmul" }                  -> { "ms": 33.1 }
//     { "case": "matmul", "save": "FILE" }  -> { "saved": true }, the output as raw f32 in FILE
//
// Its first line is { "ready": true, ... what it is }, or { "failed": why }. A line { "close": true } ends it.

import { writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

/** `open` resolves to { about, run(name), close() }; `run` takes inputs from the host and resolves to a Float32Array. */
export async function serve(open) {
  const say = (record) => process.stdout.write(`${JSON.stringify(record)}\n`);
  let side;
  try {
    side = await open();
  } catch (error) {
    say({ failed: String(error?.message ?? error).split('\n')[0] });
    process.exit(0);
  }
  say({ ready: true, ...side.about });
  for await (const line of createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    if (order.close) break;
    try {
      const start = performance.now();
      const output = await side.run(order.case);
      const ms = performance.now() - start;
      if (order.save) {
        writeFileSync(order.save, new Uint8Array(output.buffer, output.byteOffset, output.byteLength));
        say({ saved: true });
      } else say({ ms });
    } catch (error) {
      say({ failed: String(error?.message ?? error).split('\n')[0] });
    }
  }
  await side.close();
  process.exit(0);
}
