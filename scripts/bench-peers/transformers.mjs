// Transformers.js: a CLIP vision model from a local folder, on WebGPU. It knows models, not operations.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { cases, inputsOf } from './cases.mjs';
import { serve } from './side.mjs';

const [modules, models] = process.argv.slice(2);

await serve(async () => {
  const where = createRequire(join(modules, 'package.json')).resolve('@huggingface/transformers');
  const { CLIPVisionModel, env, Tensor } = await import(pathToFileURL(where).href);
  const manifest = join(modules, 'node_modules/@huggingface/transformers/package.json');
  const { version } = JSON.parse(readFileSync(manifest, 'utf8'));
  env.allowRemoteModels = false;
  env.localModelPath = models;
  const opened = new Map();
  return {
    about: { side: 'Transformers.js', version },
    async run(name) {
      if (name !== 'tower') throw new Error('no model of this kind');
      if (!opened.has(name)) {
        const model = await CLIPVisionModel.from_pretrained(name, {
          device: 'webgpu',
          dtype: 'fp32',
          model_file_name: 'model',
          use_external_data_format: true,
          session_options: { extra: { session: { disable_cpu_ep_fallback: '1' } } },
        });
        opened.set(name, { model, pixels: new Tensor('float32', inputsOf(name)[0], cases[name].inputs[0]) });
      }
      const { model, pixels } = opened.get(name);
      const outputs = await model({ pixel_values: pixels });
      return Object.values(outputs)[0].data;
    },
    async close() {
      for (const { model } of opened.values()) await model.dispose();
    },
  };
});
