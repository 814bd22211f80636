// The map of patches: a picture, and over it a grid that can be pointed at and walked through with the arrow keys.

import type { RgbImage } from '../src/models/index.ts';
import { type OverlayPlan, overlayImage } from '../src/visionzip/index.ts';
import { heatColour } from './colours.ts';
import { element } from './dom.ts';
import { describePatch, groupOf, type Patch, type ZipIndices } from './patches.ts';

export type View = 'fate' | 'attention';

export interface MapContent {
  readonly shown: RgbImage;
  readonly columns: number;
  readonly patches: readonly Patch[];
  readonly indices: ZipIndices | null;
}

export interface PatchMap {
  show(content: MapContent, view: View): void;
  /** Dims all patches but those of one contextual token; null: none. */
  highlight(group: number | null): void;
}

/** Fills `grid` and `canvas`; `readout` is told about each patch that is pointed at or focused. */
export function createPatchMap(
  grid: HTMLElement,
  canvas: HTMLCanvasElement,
  readout: (text: string) => void,
): PatchMap {
  let cells: HTMLElement[] = [];
  let content: MapContent | null = null;
  grid.setAttribute('role', 'grid'); // a table until it can be walked through

  const focus = (patch: number): void => {
    for (const cell of cells) cell.tabIndex = -1;
    const cell = cells[patch] as HTMLElement;
    cell.tabIndex = 0;
    cell.focus();
  };
  const tell = ({ target }: Event): void => {
    const patch = cells.indexOf(target as HTMLElement);
    if (patch >= 0) readout((cells[patch] as HTMLElement).getAttribute('aria-label') ?? '');
  };
  grid.addEventListener('pointerover', tell);
  grid.addEventListener('focusin', tell);
  grid.addEventListener('click', ({ target }) => {
    const patch = cells.indexOf(target as HTMLElement);
    if (patch >= 0) focus(patch);
  });
  grid.addEventListener('keydown', (event) => {
    const patch = cells.indexOf(event.target as HTMLElement);
    const next = content === null || patch < 0 ? null : step(event.key, patch, content);
    if (next === null) return;
    event.preventDefault();
    focus(next);
  });

  return {
    show(next, view) {
      if (content?.patches.length !== next.patches.length) cells = makeCells(grid, next);
      content = next;
      next.patches.forEach((patch, i) => {
        fillCell(cells[i] as HTMLElement, patch, view, next.patches.length);
      });
      drawImage(canvas, view === 'fate' ? withFates(next) : next.shown);
      if (view === 'attention') drawAttention(canvas, next);
    },
    highlight(group) {
      content?.patches.forEach((patch, i) => {
        cells[i]?.classList.toggle('other', group !== null && groupOf(patch) !== group);
      });
    },
  };
}

/** Where a key leads from a patch; null if nowhere. */
function step(key: string, patch: number, { columns, patches }: MapContent): number | null {
  const column = patch % columns;
  switch (key) {
    case 'ArrowLeft':
      return column > 0 ? patch - 1 : patch;
    case 'ArrowRight':
      return column < columns - 1 ? patch + 1 : patch;
    case 'ArrowUp':
      return patch >= columns ? patch - columns : patch;
    case 'ArrowDown':
      return patch + columns < patches.length ? patch + columns : patch;
    case 'Home':
      return patch - column;
    case 'End':
      return patch - column + columns - 1;
    default:
      return null;
  }
}

function makeCells(grid: HTMLElement, { columns, patches }: MapContent): HTMLElement[] {
  const cells = patches.map((_, i) => element('td', { role: 'gridcell', tabindex: i === 0 ? '0' : '-1' }));
  const rows = cells.filter((_, i) => i % columns === 0);
  grid.replaceChildren(
    ...rows.map((_, row) =>
      element('tr', { role: 'row' }, ...cells.slice(row * columns, (row + 1) * columns)),
    ),
  );
  return cells;
}

function fillCell(cell: HTMLElement, patch: Patch, view: View, patchCount: number): void {
  const group = groupOf(patch);
  cell.setAttribute('aria-label', describePatch(patch, patchCount));
  cell.dataset.kind = patch.fate.kind;
  cell.textContent = view === 'fate' && group !== null ? String(group + 1) : '';
}

function withFates({ shown, columns, indices }: MapContent): RgbImage {
  if (indices === null) return shown;
  const plan: OverlayPlan = {
    gridColumns: columns,
    keptTokenIndices: indices.kept,
    targetTokenIndices: indices.targets,
    sourceTokenIndices: indices.sources,
    assignment: indices.assignment,
  };
  return overlayImage(shown, plan);
}

function drawImage(canvas: HTMLCanvasElement, { width, height, data }: RgbImage): void {
  const rgba = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    rgba.data.set([data[3 * i] as number, data[3 * i + 1] as number, data[3 * i + 2] as number, 255], 4 * i);
  }
  canvas.width = width;
  canvas.height = height;
  context(canvas).putImageData(rgba, 0, 0);
}

/** Over the picture, so that it stays visible. */
function drawAttention(canvas: HTMLCanvasElement, { columns, patches }: MapContent): void {
  const most = mostShare(patches);
  const cell = canvas.width / columns;
  const brush = context(canvas);
  brush.globalAlpha = 0.85;
  for (const { row, column, share } of patches) {
    brush.fillStyle = heatColour(most > 0 ? share / most : 0);
    brush.fillRect(column * cell, row * cell, cell, cell);
  }
  brush.globalAlpha = 1;
}

export const mostShare = (patches: readonly Patch[]): number =>
  Math.max(...patches.map(({ share }) => share));

/** The scale of the attention map, from dark to light. */
export function drawScale(canvas: HTMLCanvasElement): void {
  const brush = context(canvas);
  for (let x = 0; x < canvas.width; x++) {
    brush.fillStyle = heatColour(x / (canvas.width - 1));
    brush.fillRect(x, 0, 1, canvas.height);
  }
}

function context(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const found = canvas.getContext('2d');
  if (found === null) throw new TypeError('context: expected a canvas to draw on, got none');
  return found;
}
