// onnxruntime-node, its WebGPU provider; what it does not support may not fall back to the CPU.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { cases, inputsOf } from './cases.mjs';
import { serve } from './side.mjs';

const [modules, models] = process.argv.slice(2);

await serve(async () => {
  const ort = createRequire(join(modules, 'package.json'))('onnxruntime-node');
  const { version } = JSON.parse(
    readFileSync(join(modules, 'node_modules/onnxruntime-node/package.json'), 'utf8'),
  );
  const sessions = new Map();
  const open = async (name) => {
    if (!sessions.has(name)) {
      const session = await ort.InferenceSession.create(join(models, name, 'onnx', 'model.onnx'), {
        executionProviders: ['webgpu'],
        extra: { session: { disable_cpu_ep_fallback: '1' } },
      });
      const feeds = Object.fromEntries(
        inputsOf(name).map((values, i) => [
          session.inputNames[i],
          new ort.Tensor('float32', values, cases[name].inputs[i]),
        ]),
      );
      sessions.set(name, { session, feeds });
    }
    return sessions.get(name);
  };
  return {
    about: { side: 'onnxruntime-node', version },
    async run(name) {
      const { session, feeds } = await open(name);
      const outputs = await session.run(feeds);
      return outputs[session.outputNames[0]].data;
    },
    async close() {
      for (const { session } of sessions.values()) await session.release();
    },
  };
});
