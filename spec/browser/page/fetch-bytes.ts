// How pages read the files of this repository.

/** The bytes of a file that the site serves, by its path from the root of the repository. Throws if there is none. */
export async function fetchBytes(path: string): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(`/${path}`);
  if (!response.ok) throw new Error(`${path}: expected a file, got HTTP ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}
