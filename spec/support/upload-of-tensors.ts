// The uploads of models whose weights are not in files.

import { type Upload, uploadOf } from '../../src/models/checkpoint/upload.ts';

/** An upload of which every part is a tensor that `load` makes. */
export function uploadOfTensors({ load, discard }: Pick<Upload, 'load' | 'discard'>): Upload {
  return uploadOf({
    load,
    matrix: (name, stored) => {
      const [rows = 1, ...rest] = stored;
      return load(name, stored, [rows, rest.reduce((product, length) => product * length, 1)]);
    },
    discard,
  });
}
