// SPEC T-16, by the coordinates of every element.

type Numbers = ArrayLike<number>;
type Shape = readonly number[];

function coordinatesOf(i: number, shape: Shape): number[] {
  const coordinates: number[] = [];
  let rest = i;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const length = shape[axis] as number;
    coordinates[axis] = rest % length;
    rest = Math.floor(rest / length);
  }
  return coordinates;
}

function indexOf(coordinates: Shape, shape: Shape): number {
  let index = 0;
  for (let axis = 0; axis < shape.length; axis++) {
    index = index * (shape[axis] as number) + (coordinates[axis] as number);
  }
  return index;
}

function countOf(shape: Shape): number {
  let count = 1;
  for (const length of shape) count *= length;
  return count;
}

export interface Moved {
  readonly values: number[];
  readonly shape: number[];
}

export function concat(inputs: readonly { values: Numbers; shape: Shape }[], axis: number): Moved {
  const shape = [...(inputs[0] as { shape: Shape }).shape];
  shape[axis] = 0;
  for (const input of inputs) shape[axis] += input.shape[axis] as number;
  const values: number[] = [];
  for (let i = 0; i < countOf(shape); i++) {
    const coordinates = coordinatesOf(i, shape);
    for (const input of inputs) {
      const place = coordinates[axis] as number;
      const length = input.shape[axis] as number;
      if (place < length) {
        values.push(input.values[indexOf(coordinates, input.shape)] as number);
        break;
      }
      coordinates[axis] = place - length;
    }
  }
  return { values, shape };
}

export function slice(x: Numbers, from: Shape, axis: number, begin: number, end: number): Moved {
  const shape = [...from];
  shape[axis] = end - begin;
  const values: number[] = [];
  for (let i = 0; i < countOf(shape); i++) {
    const coordinates = coordinatesOf(i, shape);
    coordinates[axis] = (coordinates[axis] as number) + begin;
    values.push(x[indexOf(coordinates, from)] as number);
  }
  return { values, shape };
}

export function permute(x: Numbers, from: Shape, order: readonly number[]): Moved {
  const shape: number[] = [];
  for (const axis of order) shape.push(from[axis] as number);
  const values: number[] = [];
  for (let i = 0; i < countOf(shape); i++) {
    const coordinates = coordinatesOf(i, shape);
    const source: number[] = [];
    for (let axis = 0; axis < order.length; axis++)
      source[order[axis] as number] = coordinates[axis] as number;
    values.push(x[indexOf(source, from)] as number);
  }
  return { values, shape };
}

export function repeatRows(x: Numbers, from: Shape, copies: number): Moved {
  const values: number[] = [];
  for (let copy = 0; copy < copies; copy++) {
    for (let i = 0; i < x.length; i++) values.push(x[i] as number);
  }
  return { values, shape: [copies, ...from] };
}
