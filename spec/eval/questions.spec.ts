// Questions: every answer is found again by reading the question and looking at the scene.

import { describe, expect, it } from 'vitest';
import { drawQuestions, type Question, questionTypes } from '../../src/eval/questions.ts';
import { seededRandom } from '../../src/eval/random.ts';
import { drawScene, type Scene } from '../../src/eval/scenes.ts';

const asked = Array.from({ length: 400 }, (_, i) => {
  const scene = drawScene(seededRandom(11, i, 0));
  return { scene, questions: drawQuestions(scene, seededRandom(11, i, 1)) };
});
const all = asked.flatMap(({ questions }) => questions);

const PLACES = [
  ['top left', 'top', 'top right'],
  ['left', 'center', 'right'],
  ['bottom left', 'bottom', 'bottom right'],
];
const NUMBERS: readonly string[] = ['Zero', 'One', 'Two', 'Three', 'Four', 'Five'];
const COLOR = '(red|green|blue|yellow|purple|white)';
const SHAPE = '(circle|square|triangle|cross|ring)';

const forms: Readonly<Record<Question['type'], readonly RegExp[]>> = {
  color: [
    new RegExp(`^What color is the ${SHAPE}\\?$`),
    new RegExp(`^What is the color of the ${SHAPE}\\?$`),
  ],
  shape: [
    new RegExp(`^What shape is the ${COLOR} object\\?$`),
    new RegExp(`^What is the shape of the ${COLOR} object\\?$`),
  ],
  count: [/^How many objects are there\?$/, /^How many objects are in the image\?$/],
  where: [new RegExp(`^Where is the ${COLOR} ${SHAPE}\\?$`)],
  what: [/^What is in the ([a-z ]+)\?$/, /^What do you see in the ([a-z ]+)\?$/],
  yesno: [new RegExp(`^Is there a ${COLOR} ${SHAPE}\\?$`)],
  ncolor: [new RegExp(`^How many ${COLOR} objects are there\\?$`)],
  caption: [/^Describe the image\.$/, /^What is in the image\?$/],
};

/** The object of a scene in a place, by where its centre lies. */
function inPlace({ objects }: Scene, place: string): string | null {
  const found = objects.find(({ x, y }) => PLACES[Math.floor(y / 112)]?.[Math.floor(x / 112)] === place);
  return found === undefined ? null : `${found.color} ${found.shape}`;
}

/** The answer to a question, read from its words alone; throws where it has none or several. */
function lookUp(scene: Scene, { type, text }: Question): string {
  const form = forms[type].find((pattern) => pattern.test(text));
  const words = (form?.exec(text) ?? []).slice(1);
  const fitting = scene.objects.filter((one) =>
    words.every((word) => [one.color, one.shape].includes(word as never)),
  );
  const only = fitting.length === 1 ? fitting[0] : undefined;
  const first = (word: string | undefined): string => {
    if (word === undefined) throw new Error(`no single answer: ${text} ${JSON.stringify(scene.objects)}`);
    return `${word.charAt(0).toUpperCase()}${word.slice(1)}`;
  };
  if (form === undefined) throw new Error(`unknown form: ${text}`);
  if (type === 'color') return first(only?.color);
  if (type === 'shape') return first(only?.shape);
  if (type === 'count') return NUMBERS[scene.objects.length] as string;
  if (type === 'where') {
    return first(
      only && PLACES.flat().find((place) => inPlace({ ...scene, objects: [only] }, place) !== null),
    );
  }
  if (type === 'yesno') return fitting.length > 0 ? 'Yes' : 'No';
  if (type === 'ncolor') return NUMBERS[fitting.length] as string;
  if (type === 'what') {
    const found = inPlace(scene, words[0] as string);
    return found === null ? 'Nothing' : `A ${found}`;
  }
  const parts = PLACES.flat().flatMap((place) => {
    const found = inPlace(scene, place);
    return found === null ? [] : [`a ${found} in the ${place}`];
  });
  return `${first(parts.join(', '))}.`;
}

describe('E-1 questions', () => {
  it('E-1.4 every answer of 400 scenes is the one that its question has, and questions point at one object', () => {
    for (const { scene, questions } of asked) {
      for (const question of questions) expect(question.answer, question.text).toBe(lookUp(scene, question));
    }
  });

  it('E-1.4 all forms, and all answers that there are, come up', () => {
    for (const type of questionTypes) {
      const own = all.filter((question) => question.type === type);
      for (const form of forms[type])
        expect(
          own.some(({ text }) => form.test(text)),
          String(form),
        ).toBe(true);
    }
    const answers = (type: string): Set<string> =>
      new Set(all.filter((question) => question.type === type).map(({ answer }) => answer));
    expect(answers('color').size).toBe(6);
    expect(answers('shape').size).toBe(5);
    expect(answers('count').size).toBe(5);
    expect(answers('where').size).toBe(9);
    expect([...answers('ncolor')]).toEqual(expect.arrayContaining(['Zero', 'One', 'Two', 'Three']));
    expect(answers('what').has('Nothing')).toBe(true);
  });

  it('E-1.5 a scene is asked one question of each type, but for those that would point at several objects', () => {
    for (const { scene, questions } of asked) {
      const unique = (key: (one: Scene['objects'][number]) => string): boolean =>
        scene.objects.some((one) => scene.objects.filter((other) => key(other) === key(one)).length === 1);
      const possible = questionTypes.filter((type) => {
        if (type === 'color') return unique(({ shape }) => shape);
        if (type === 'shape') return unique(({ color }) => color);
        return type !== 'where' || unique(({ color, shape }) => `${color} ${shape}`);
      });
      expect(questions.map(({ type }) => type)).toEqual(possible);
    }
    expect(all.length).toBeGreaterThan(3000);
    expect(all.length).toBeLessThan(3200);
  });

  it('E-1.6 half of the yes/no questions have yes; most no share a colour or a shape with an object', () => {
    const yesno = asked.flatMap(({ scene, questions }) =>
      questions.filter(({ type }) => type === 'yesno').map((question) => ({ scene, question })),
    );
    const noes = yesno.filter(({ question }) => question.answer === 'No');
    expect(Math.abs(noes.length / yesno.length - 0.5)).toBeLessThan(0.08);
    const alike = noes.filter(({ scene, question }) =>
      scene.objects.some(
        ({ color, shape }) => question.text.includes(color) || question.text.includes(shape),
      ),
    );
    expect(alike.length / noes.length).toBeGreaterThan(0.8);
    expect(alike.length).toBeLessThan(noes.length);
  });

  it('E-1.1 questions are the same for the same numbers', () => {
    const { scene, questions } = asked[5] as (typeof asked)[number];
    expect(drawQuestions(scene, seededRandom(11, 5, 1))).toEqual(questions);
    const others = Array.from({ length: 8 }, (_, i) => drawQuestions(scene, seededRandom(12, i)));
    expect(new Set(others.map((one) => JSON.stringify(one))).size).toBeGreaterThan(1);
  });
});
