// Which coefficients of a JPEG its scans bring, and in how many pieces (ITU-T T.81 sections A.2, B.2.3, E.1.4 and G.1.1).
// SPEC M-1.3.
//
//     scan header   count u8, (component id u8, tables u8)..., first u8, last u8, Ah and Al 4 bits each
//
// A scan brings the coefficients first..last of its components, without their lowest Al bits. A file cut
// off between two scans decodes without a complaint, blurred or without colour: here it shows. So does a
// scan whose last intervals are missing: of those the decoder says only that bytes are left over.
//
//     units of a scan    of one component its blocks, of several the squares that all of them fill
//     restarts           ⌈units / interval⌉ − 1

import { FileError } from '../../tensor/errors.ts';

/** A progressive file may visit every pixel once per scan; libjpeg writes 10 scans of its own accord. */
export const MOST_SCANS = 100;
export const MOST_SCANNED_PIXELS = 1_000_000_000;

export interface Frame {
  readonly width: number;
  readonly height: number;
  readonly progressive: boolean;
  readonly components: readonly Component[];
}

/** `h` and `v`: how many blocks of it a square of all components has, across and down. */
export interface Component {
  readonly id: number;
  readonly h: number;
  readonly v: number;
}

export interface ScanHeader {
  readonly componentIds: readonly number[];
  readonly first: number;
  readonly last: number;
  readonly missingBits: number; // Al
}

export interface Scan {
  readonly header: ScanHeader;
  readonly interval: number; // of restarts, in units; 0 for none
  readonly restarts: number; // that there are
}

/** Reads the data of an SOS segment. Throws FileError for a length that does not fit and an unknown component. */
export function readScanHeader(data: Uint8Array, frame: Frame, name: string): ScanHeader {
  const count = data[0] ?? 0;
  if (data.length !== 4 + 2 * count) {
    throw new FileError(`${name}: expected ${4 + 2 * count} bytes of scan header (SOS), got ${data.length}`);
  }
  const componentIds = Array.from({ length: count }, (_, i) => data[1 + 2 * i] as number);
  const known = frame.components.map(({ id }) => id);
  const unknown = componentIds.find((id) => !known.includes(id));
  if (unknown !== undefined) {
    throw new FileError(`${name}: expected a scan of components ${known.join(', ')}, got ${unknown}`);
  }
  // The other fields mean nothing in a baseline file: a scan of it brings all there is.
  if (!frame.progressive) return { componentIds, first: 0, last: 63, missingBits: 0 };
  const [first = 0, last = 0, bits = 0] = data.subarray(1 + 2 * count);
  return { componentIds, first, last, missingBits: bits & 15 };
}

/** Throws FileError for more than 100 scans, and for more than 10⁹ pixels over all of them. */
export function checkScanCount(count: number, { width, height }: Frame, name: string): void {
  if (count > MOST_SCANS) {
    throw new FileError(`${name}: expected at most ${MOST_SCANS} scans in a JPEG, got more`);
  }
  if (count * width * height > MOST_SCANNED_PIXELS) {
    throw new FileError(
      `${name}: expected at most ${MOST_SCANNED_PIXELS} pixels over all scans of a JPEG, ` +
        `got ${count} scans of ${width} x ${height}`,
    );
  }
}

/** Throws FileError if a scan has fewer restarts than its units need at an interval that is not 0. */
export function checkRestarts(scans: readonly Scan[], frame: Frame, name: string): void {
  for (const { header, interval, restarts } of scans) {
    const needed = interval === 0 ? 0 : Math.ceil(unitCount(header, frame) / interval) - 1;
    if (restarts < needed) {
      throw new FileError(`${name}: expected a scan of a JPEG with ${needed} restarts, got ${restarts}`);
    }
  }
}

function unitCount({ componentIds }: ScanHeader, { width, height, components }: Frame): number {
  const [most, mostDown] = [
    Math.max(...components.map(({ h }) => h)),
    Math.max(...components.map(({ v }) => v)),
  ];
  const alone = componentIds.length === 1 ? components.find(({ id }) => id === componentIds[0]) : undefined;
  const { h, v } = alone ?? { h: 1, v: 1 };
  return Math.ceil((width * h) / (8 * most)) * Math.ceil((height * v) / (8 * mostDown));
}

/** Throws FileError unless the scans together bring every coefficient of every component in full. */
export function checkCoverage(scans: readonly Scan[], frame: Frame, name: string): void {
  for (const { id } of frame.components) {
    const finishing = scans
      .map(({ header }) => header)
      .filter((header) => header.missingBits === 0 && header.componentIds.includes(id));
    for (let k = 0; k < 64; k++) {
      if (finishing.some(({ first, last }) => first <= k && k <= last)) continue;
      throw new FileError(
        `${name}: expected the scans of a whole JPEG, got none that finishes coefficient ${k} of component ${id}`,
      );
    }
  }
}
