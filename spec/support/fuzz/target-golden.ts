// A group of goldens, manifest and tensors, under tampering: what `npm run golden:check` says of it. SPEC G-1.1, G-1.2.

import { createHash } from 'node:crypto';
import { faultsOf, GoldenError, groupOf } from '../../../scripts/golden/group.mjs';
import { brokenGoldenRule, type Hash } from '../../oracle/golden-rules.ts';
import type { Draw } from './draw.ts';
import type { Folder, Target } from './judge.ts';
import { mutateBytes } from './mutate-bytes.ts';
import { mutateJson, mutateTree, spelled, treeOf } from './mutate-json.ts';
import { mutateSafetensors, safetensorsFile, safetensorsParts } from './mutate-safetensors.ts';
import { safetensorsOf } from './valid-files.ts';

const sha256: Hash = (text, bytes) => createHash('sha256').update(text).update(bytes).digest('hex');

const MANIFEST = 'manifest.json';
const FILE = 'group.safetensors';

const file = safetensorsOf({
  'one/x': ['F32', [2, 2], 16],
  'one/layers.0.keys': ['F32', [1, 3], 12],
  'one/kept@2+1': ['I32', [2], 8],
  'two/x': ['F32', [], 4],
  'two/layers.1.keys': ['F32', [2, 0], 0],
});
const parts = safetensorsParts(file);

/** The manifest that belongs to these data. */
function manifestOf(data: Uint8Array): object {
  const hashOf = (name: string): string => {
    const {
      dtype,
      shape,
      data_offsets: offsets,
    } = parts.header[name] as {
      readonly dtype: string;
      readonly shape: readonly number[];
      readonly data_offsets: readonly [number, number];
    };
    return sha256(`${dtype}|${shape.join(',')}|`, data.subarray(...offsets));
  };
  const formula = { formula: 'grid8-v1', stream: 's', exp: 0, shape: [2], sha256: '00' };
  return {
    format: 'golden-v1',
    group: 'group',
    file: FILE,
    stages: {
      x: { kind: 'real', tolerance: { relativeTo: 'rms', value: 1e-5, legitMax: 1e-6 } },
      'layers.*.keys': { kind: 'copy' },
      kept: { kind: 'topk_set' },
    },
    caseCount: 2,
    cases: [
      {
        id: 'one',
        flags: ['TieAtCut'],
        inputs: { x: hashOf('one/x'), pixels: formula },
        expected: {
          'layers.0.keys': hashOf('one/layers.0.keys'),
          'kept@2+1': hashOf('one/kept@2+1'),
        },
      },
      {
        id: 'two',
        inputs: {},
        expected: { x: hashOf('two/x'), 'layers.1.keys': hashOf('two/layers.1.keys') },
      },
    ],
  };
}

const tree = treeOf(manifestOf(parts.data));
const manifest = new TextEncoder().encode(spelled(tree));

/** Other numbers, with the hashes that belong to them. */
function rehashed(draw: Draw): Folder {
  const tampered = mutateBytes(draw, parts.data);
  const data = parts.data.map((_, i) => tampered[i] ?? 0);
  if (draw.oneIn(3)) data.set([0, 0, draw.pick([0x80, 0xc0]), 0x7f], 4 * draw.below(7));
  const header = new TextEncoder().encode(spelled(parts.tree));
  const changed = treeOf(manifestOf(data));
  return {
    [MANIFEST]: new TextEncoder().encode(spelled(draw.oneIn(2) ? changed : mutateTree(draw, changed))),
    [FILE]: safetensorsFile(header, data),
  };
}

function bytesOf(folder: Folder, name: string): Uint8Array {
  return folder[name] ?? new Uint8Array(0);
}

export const golden: Target<Folder> = {
  name: 'golden',
  file: /^group[ /]/,
  refusal: GoldenError,
  mutate(draw) {
    if (draw.oneIn(4)) return rehashed(draw);
    if (draw.oneIn(3)) return { [MANIFEST]: manifest, [FILE]: mutateSafetensors(draw, parts) };
    return { [MANIFEST]: mutateJson(draw, tree), [FILE]: file };
  },
  async read(folder) {
    const [fault] = faultsOf(groupOf('group', bytesOf(folder, MANIFEST), bytesOf(folder, FILE)));
    if (fault !== undefined) throw new GoldenError(fault);
  },
  broken: (folder) => brokenGoldenRule('group', bytesOf(folder, MANIFEST), bytesOf(folder, FILE), sha256),
};
