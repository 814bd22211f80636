// The pictures that come with the model, and the questions that were asked about them.

import { FileError } from '../src/tensor/index.ts';
import { element } from './dom.ts';

export interface Scene {
  readonly image: string;
  readonly objects: readonly { readonly color: string; readonly shape: string }[];
  readonly questions: readonly { readonly question: string }[];
}

export async function fetchScenes(): Promise<readonly Scene[]> {
  const bytes = await fetchFile('model/cases.json');
  return (JSON.parse(new TextDecoder().decode(bytes)) as { cases: Scene[] }).cases;
}

/** The bytes of a file beside the page. Throws FileError if there is none. */
export async function fetchFile(url: string): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(url).catch((error: Error) => {
    throw new FileError(`${url}: expected an answer, got ${error.message}`);
  });
  if (!response.ok) throw new FileError(`${url}: expected a file, got HTTP ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

export const sceneUrl = ({ image }: Scene): string => `model/${image}`;

/** A radio button for each scene, the first one chosen. */
export function showScenes(parent: HTMLElement, scenes: readonly Scene[]): void {
  parent.replaceChildren(
    ...scenes.map((scene, i) => {
      const radio = element('input', { type: 'radio', name: 'scene', value: String(i) });
      radio.checked = i === 0;
      return element('label', {}, radio, element('img', { src: sceneUrl(scene), alt: describeScene(scene) }));
    }),
  );
}

function describeScene({ objects }: Scene): string {
  return objects.map(({ color, shape }) => `${color} ${shape}`).join(', ');
}
