// The explorer: a picture, a budget, what VisionZip keeps of it, and answers. Wires the page to the model.

import type { Llava } from '../src/models/index.ts';
import { dispose } from '../src/tensor/index.ts';
import { type Budget, paperBudgets } from '../src/visionzip/index.ts';
import { showAnswer } from './answers.ts';
import { byId, chosenRadio, element } from './dom.ts';
import { type Look, lookAt, openModel, type Zip, zip } from './model.ts';
import { createPatchMap, drawScale, mostShare, type View } from './patch-map.ts';
import { groupsOf, type Patch, patchesOf, percent, placeOf, summary } from './patches.ts';
import { problemText } from './problems.ts';
import { createQueue } from './queue.ts';
import { fetchFile, fetchScenes, type Scene, sceneUrl, showScenes } from './scenes.ts';

const status = byId('status', HTMLElement);
const problem = byId('problem', HTMLElement);
const file = byId('file', HTMLInputElement);
const question = byId('question', HTMLInputElement);
const askButton = byId('ask', HTMLButtonElement);
const stopButton = byId('stop', HTMLButtonElement);
const group = byId('group', HTMLSelectElement);
const map = createPatchMap(byId('map', HTMLElement), byId('picture', HTMLCanvasElement), (text) => {
  byId('readout', HTMLElement).textContent = text;
});
const enqueue = createQueue();

const HELP: Readonly<Record<View, string>> = {
  fate: 'Patches that are kept show the picture. A number is the contextual token that a patch was merged into; a frame marks the target, which the others were merged into.',
  attention: 'Of what CLS attends to, summed over the heads, a patch has the more the lighter it is.',
};

/** What is on show. */
const held: { look: Look | null; zip: Zip | null; patches: readonly Patch[] } = {
  look: null,
  zip: null,
  patches: [],
};
let stopped = false;

/** Runs a task when those before it are done. What goes wrong is said in the page. */
async function perform(kind: string, doing: string, task: () => Promise<void>): Promise<void> {
  await enqueue(kind, async () => {
    problem.textContent = '';
    status.textContent = `${doing[0]?.toUpperCase()}${doing.slice(1)} …`;
    try {
      await task();
      status.textContent = 'Ready.';
    } catch (error) {
      status.textContent = '';
      problem.textContent = problemText(error, doing);
    }
  });
}

async function start(): Promise<void> {
  await perform('start', 'loading the model', async () => {
    const [llava, scenes] = await Promise.all([openModel(), fetchScenes()]);
    listen(llava, scenes);
  });
}

function listen(llava: Llava, scenes: readonly Scene[]): void {
  const scenesParent = byId('scenes', HTMLElement);
  const openScene = (scene: Scene): void => {
    suggest(llava, scene);
    void choosePicture(llava, scene.image, () => fetchFile(sceneUrl(scene)));
  };
  const openFile = (chosen: File | undefined): void => {
    if (chosen === undefined) return;
    for (const radio of scenesParent.querySelectorAll('input')) radio.checked = false;
    void choosePicture(llava, chosen.name, async () => new Uint8Array(await chosen.arrayBuffer()));
  };

  showScenes(scenesParent, scenes);
  scenesParent.addEventListener('change', () =>
    openScene(scenes[Number(chosenRadio('scene').value)] as Scene),
  );
  file.addEventListener('change', () => openFile(file.files?.[0]));
  listenForDrops(openFile);
  byId('budgets', HTMLElement).addEventListener('change', () => void applyBudget(llava));
  for (const radio of document.querySelectorAll('input[name="view"]'))
    radio.addEventListener('change', showMap);
  group.addEventListener('change', () => map.highlight(group.value === '' ? null : Number(group.value)));
  byId('question-form', HTMLFormElement).addEventListener('submit', (event) => {
    event.preventDefault();
    void askQuestion(llava, question.value);
  });
  stopButton.addEventListener('click', () => {
    stopped = true;
  });
  drawScale(byId('scale', HTMLCanvasElement));
  openScene(scenes[0] as Scene);
}

function listenForDrops(openFile: (chosen: File | undefined) => void): void {
  const drop = byId('drop', HTMLElement);
  // Anywhere on the page: a file that misses the field would otherwise be opened in its place.
  document.addEventListener('dragover', (event) => {
    event.preventDefault();
    drop.classList.add('over');
  });
  document.addEventListener('dragleave', () => drop.classList.remove('over'));
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    drop.classList.remove('over');
    openFile(event.dataTransfer?.files[0]);
  });
}

function suggest(llava: Llava, { questions }: Scene): void {
  const buttons = questions.slice(0, 5).map(({ question: text }) => {
    const button = element('button', { type: 'button' }, text);
    button.addEventListener('click', () => {
      question.value = text;
      void askQuestion(llava, text);
    });
    return button;
  });
  byId('suggestions', HTMLElement).replaceChildren(...buttons);
}

/** Looks at another picture. If it is refused, the one before stays. */
async function choosePicture(llava: Llava, name: string, read: () => Promise<Uint8Array>): Promise<void> {
  stopped = true;
  await perform('picture', `looking at ${name}`, async () => {
    const look = await lookAt(llava, await read(), name);
    if (held.look !== null) dispose(held.look.encoding);
    held.look = look;
    await rezip(llava, look);
    askButton.disabled = false;
  });
}

async function applyBudget(llava: Llava): Promise<void> {
  await perform('budget', 'zipping', async () => {
    if (held.look !== null) await rezip(llava, held.look);
  });
}

async function rezip(llava: Llava, look: Look): Promise<void> {
  const next = await zip(llava, look, chosenBudget());
  if (held.zip !== null) dispose(held.zip.tokens);
  held.zip = next;
  held.patches = patchesOf(look.scores, look.columns, next.indices);
  showGroups();
  showMap();
}

/** The budget that is chosen; null: all patches. Throws RangeError for counts that are none. */
function chosenBudget(): Budget | null {
  const { value } = chosenRadio('budget');
  if (value !== 'own') return paperBudgets.get(Number(value)) ?? null;
  return {
    dominantCount: byId('dominant', HTMLInputElement).valueAsNumber,
    contextualCount: byId('contextual', HTMLInputElement).valueAsNumber,
  };
}

function showGroups(): void {
  const options = groupsOf(held.patches).map(({ target, mergedCount }, i) => {
    const patches = mergedCount === 1 ? 'one patch' : `${mergedCount} patches`;
    return element(
      'option',
      { value: String(i) },
      `${i + 1}: ${placeOf(target)}, and ${patches} merged into it`,
    );
  });
  group.replaceChildren(element('option', { value: '' }, options.length === 0 ? 'none' : 'all'), ...options);
  group.disabled = options.length === 0;
  map.highlight(null);
}

function showMap(): void {
  if (held.look === null || held.zip === null) return;
  const { shown, columns } = held.look;
  const view = chosenRadio('view').value as View;
  map.show({ shown, columns, patches: held.patches, indices: held.zip.indices }, view);
  byId('summary', HTMLElement).textContent = summary(held.patches);
  byId('legend', HTMLElement).hidden = view !== 'attention';
  byId('map-help', HTMLElement).textContent =
    `${HELP[view]} Point at a patch, or move with the arrow keys, to read what became of it.`;
  byId('least', HTMLElement).textContent = percent(0);
  byId('most', HTMLElement).textContent = percent(mostShare(held.patches));
}

async function askQuestion(llava: Llava, text: string): Promise<void> {
  await perform('question', 'answering', async () => {
    if (held.zip === null) return;
    stopped = false;
    stopButton.disabled = false;
    const asked = { question: text, tokens: held.zip.tokens, isStopped: () => stopped };
    await showAnswer(byId('answers', HTMLElement), llava, asked).finally(() => {
      stopButton.disabled = true;
    });
  });
}

void start();
