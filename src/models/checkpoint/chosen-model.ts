// Files that someone chose or dropped in a browser as ModelFiles. SPEC M-2.36.

import { FileError } from '../../tensor/errors.ts';
import { checkFileName, checkRange, type ModelFile, type ModelFiles, quoted } from './model-files.ts';

/**
 * The model whose files are `files`, by their names: those of `<input type="file" multiple>` or of a drop. Bytes are read
 * when they are asked for. Throws FileError if two files have one name, as those of several folders may.
 */
export function chosenModel(files: Iterable<File>, where = 'the chosen files'): ModelFiles {
  const byName = new Map<string, File>();
  for (const file of files) {
    if (byName.has(file.name)) {
      throw new FileError(`${where}: expected one file of a name, got several called ${quoted(file.name)}`);
    }
    byName.set(file.name, file);
  }
  return {
    where,
    async open(name) {
      checkFileName(where, name);
      const file = byName.get(name);
      if (file === undefined) throw new FileError(`${where}/${name}: expected a file, got none`);
      return openFile(`${where}/${name}`, file);
    },
    async has(name) {
      checkFileName(where, name);
      return byName.has(name);
    },
  };
}

function openFile(who: string, file: File): ModelFile {
  const { name, size } = file;
  return {
    name,
    size,
    async read(offset, length) {
      checkRange(who, size, offset, length);
      // A browser refuses a file that has changed since it was chosen.
      const bytes = await file
        .slice(offset, offset + length)
        .arrayBuffer()
        .catch((error: Error) => {
          throw new FileError(`${who}: expected the file as it was chosen, got ${error.message}`);
        });
      return new Uint8Array(bytes);
    },
    close: async () => {},
  };
}
