// Questions about a generated scene, and their right answers. SPEC E-1.4 to E-1.6.

import { below, pick, type Random } from './random.ts';
import { type Color, colors, places, type Scene, type SceneObject, type Shape, shapes } from './scenes.ts';

export const questionTypes = [
  'color',
  'shape',
  'count',
  'where',
  'what',
  'yesno',
  'ncolor',
  'caption',
] as const;
export type QuestionType = (typeof questionTypes)[number];

export interface Question {
  readonly type: QuestionType;
  readonly text: string;
  readonly answer: string;
}

const numberWords = ['Zero', 'One', 'Two', 'Three', 'Four', 'Five'];

/**
 * One question of each type that the scene allows, in the order of `questionTypes`: nothing is asked about a colour, a
 * shape or a pair of both that does not point at one object.
 */
export function drawQuestions(scene: Scene, random: Random): Question[] {
  const { objects } = scene;
  const drawn = [
    askColor(objects, random),
    askShape(objects, random),
    askCount(objects, random),
    askWhere(objects, random),
    askWhat(objects, random),
    askYesNo(objects, random),
    askColorCount(objects, random),
    askCaption(objects, random),
  ];
  return drawn.filter((question) => question !== null);
}

type Objects = readonly SceneObject[];

function askColor(objects: Objects, random: Random): Question | null {
  const unique = objects.filter((one) => objects.filter(({ shape }) => shape === one.shape).length === 1);
  if (unique.length === 0) return null;
  const { shape, color } = pick(random, unique);
  const text = pick(random, [`What color is the ${shape}?`, `What is the color of the ${shape}?`]);
  return { type: 'color', text, answer: capital(color) };
}

function askShape(objects: Objects, random: Random): Question | null {
  const unique = objects.filter((one) => objects.filter(({ color }) => color === one.color).length === 1);
  if (unique.length === 0) return null;
  const { shape, color } = pick(random, unique);
  const text = pick(random, [
    `What shape is the ${color} object?`,
    `What is the shape of the ${color} object?`,
  ]);
  return { type: 'shape', text, answer: capital(shape) };
}

function askCount(objects: Objects, random: Random): Question {
  const text = pick(random, ['How many objects are there?', 'How many objects are in the image?']);
  return { type: 'count', text, answer: numberWords[objects.length] as string };
}

function askWhere(objects: Objects, random: Random): Question | null {
  const unique = objects.filter((one) => matching(objects, one.color, one.shape).length === 1);
  if (unique.length === 0) return null;
  const { shape, color, cell } = pick(random, unique);
  return { type: 'where', text: `Where is the ${color} ${shape}?`, answer: capital(places[cell] as string) };
}

/** Three times of four about a cell with something in it; else about any cell. */
function askWhat(objects: Objects, random: Random): Question {
  const cell = below(random, 4) < 3 ? pick(random, objects).cell : below(random, places.length);
  const place = places[cell] as string;
  const text = pick(random, [`What is in the ${place}?`, `What do you see in the ${place}?`]);
  const found = objects.find((one) => one.cell === cell);
  return { type: 'what', text, answer: found === undefined ? 'Nothing' : `A ${found.color} ${found.shape}` };
}

/** Half yes. Four no's of five share the colour or the shape with an object. */
function askYesNo(objects: Objects, random: Random): Question {
  const question = (color: Color, shape: Shape, answer: string): Question => ({
    type: 'yesno',
    text: `Is there a ${color} ${shape}?`,
    answer,
  });
  const { color, shape } = pick(random, objects);
  if (below(random, 2) === 0) return question(color, shape, 'Yes');
  const absent = colors
    .flatMap((c) => shapes.map((s) => ({ color: c, shape: s })))
    .filter((pair) => matching(objects, pair.color, pair.shape).length === 0);
  const alike = absent.filter((pair) => pair.color === color || pair.shape === shape);
  const pair = pick(random, below(random, 5) < 4 ? alike : absent);
  return question(pair.color, pair.shape, 'No');
}

/** Half about the colour of an object, half about any colour. */
function askColorCount(objects: Objects, random: Random): Question {
  const color = below(random, 2) === 0 ? pick(random, objects).color : pick(random, colors);
  const count = objects.filter((one) => one.color === color).length;
  return {
    type: 'ncolor',
    text: `How many ${color} objects are there?`,
    answer: numberWords[count] as string,
  };
}

function askCaption(objects: Objects, random: Random): Question {
  const text = pick(random, ['Describe the image.', 'What is in the image?']);
  const parts = [...objects]
    .sort((a, b) => a.cell - b.cell)
    .map(({ color, shape, cell }) => `a ${color} ${shape} in the ${places[cell]}`);
  return { type: 'caption', text, answer: `${capital(parts.join(', '))}.` };
}

function matching(objects: Objects, color: Color, shape: Shape): Objects {
  return objects.filter((one) => one.color === color && one.shape === shape);
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
