// Everything that is tampered with, for the suite and for `npm run fuzz`.

import type { Target } from './judge.ts';
import { cli } from './target-cli.ts';
import { configs } from './target-configs.ts';
import { golden } from './target-golden.ts';
import { jpeg, png } from './target-pictures.ts';
import { index, safetensors, zipTensors } from './target-tensors.ts';
import { tokenizerModel, tokenizers } from './target-tokenizers.ts';

/** By the name that `npm run fuzz -- --target` takes. */
export const targets: Readonly<Record<string, readonly Target[]>> = {
  safetensors: [safetensors, zipTensors],
  index: [index],
  config: configs,
  tokenizer: tokenizers,
  sentencepiece: [tokenizerModel],
  png: [png],
  jpeg: [jpeg],
  golden: [golden],
  cli: [cli],
};
