// What a browser does in its own way: opening the device, files that a user chose, pictures, messages.

import { chosenModel, decodeImage, fetchedModel, type Llava, loadLlava } from '../../../src/models/index.ts';
import { dispose, openGpu } from '../../../src/tensor/index.ts';
import { fetchBytes } from './fetch-bytes.ts';
import { expectEqual, expectFailure, type PageTest } from './page-test.ts';

const FOLDER = 'golden/tiny-llava';
const NAMES = [
  'config.json',
  'preprocessor_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'model.safetensors',
];

export function platformTests(llava: Llava): PageTest[] {
  return [
    {
      title: 'T-19.2 the adapter is the one of navigator.gpu, and what chooses another is refused',
      run: async () => {
        expectEqual('vendor', llava.gpu.adapter.vendor, 'google');
        await expectFailure(
          'driver',
          openGpu({ driver: 'private' }),
          /RangeError.*expected no driver in a browser/,
        );
      },
    },
    {
      title: 'M-2.36 a model of chosen files is the one that is fetched',
      run: async () => {
        const files = await Promise.all(
          NAMES.map(async (name) => new File([await fetchBytes(`${FOLDER}/${name}`)], name)),
        );
        const chosen = await loadLlava(llava.gpu, chosenModel(files));
        expectEqual('config', chosen.config, llava.config);
        dispose(chosen);
        const incomplete = chosenModel(files.filter(({ name }) => name !== 'tokenizer.json'));
        await expectFailure('without a tokenizer', loadLlava(llava.gpu, incomplete), /the chosen files/);
      },
    },
    {
      title: 'M-2.24 a model that is not there is refused by name',
      run: () =>
        expectFailure(
          'no model',
          loadLlava(llava.gpu, fetchedModel('/nowhere')),
          /\/nowhere\/config\.json.*404/,
        ),
    },
    {
      title: 'M-1.3 M-1.4 cut off and other files are refused in the words of Node',
      run: async () => {
        const jpeg = await fetchBytes('golden/preprocess/420-baseline.jpg');
        const png = await fetchBytes('golden/preprocess/rgb-8.png');
        expectEqual('sides', (await decodeImage(jpeg, 'a.jpg')).image.data.length % 3, 0);
        await expectFailure('jpeg', decodeImage(jpeg.slice(0, -40), 'a.jpg'), /FileError: a\.jpg: expected/);
        await expectFailure('png', decodeImage(png.slice(0, -40), 'a.png'), /FileError: a\.png: expected/);
        await expectFailure('text', decodeImage(jpeg.slice(9), 'a.txt'), /expected a JPEG or PNG image/);
      },
    },
  ];
}
