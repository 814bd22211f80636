// The colours of attention. Lightness rises all the way from little to much, so the order can be seen without hue.

type Rgb = readonly [red: number, green: number, blue: number];

const HEAT: readonly Rgb[] = [
  [20, 11, 52],
  [89, 20, 110],
  [165, 44, 96],
  [225, 93, 57],
  [250, 164, 26],
  [252, 243, 168],
];

/** From dark, 0, to light, 1. */
export function heatColour(value: number): string {
  const place = Math.min(1, Math.max(0, value)) * (HEAT.length - 1);
  const below = Math.min(HEAT.length - 2, Math.floor(place));
  const [from, to] = [HEAT[below] as Rgb, HEAT[below + 1] as Rgb];
  const channels = from.map((channel, i) =>
    Math.round(channel + (place - below) * ((to[i] as number) - channel)),
  );
  return `rgb(${channels.join(' ')})`;
}
