// What JSON.parse does not say about a text that it accepts: keys given twice, how numbers are spelled, how deep it goes.
//
// JSON.parse judges the grammar, the scan below only reads on. The reader in src is one recursive descent instead.

export interface JsonFacts {
  readonly value: unknown;
  /** Every key with the keys around it, as often as it stands there; the places of an array count as keys. */
  readonly keys: readonly string[];
  readonly numbers: readonly string[]; // as they are spelled
  readonly depth: number; //             levels of objects and arrays
  readonly wellFormed: boolean; //       no lone surrogate in any string or key
}

/** null where the bytes are no UTF-8 or the text is no JSON; a BOM is not JSON. */
export function jsonFacts(bytes: Uint8Array): JsonFacts | null {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return { value: JSON.parse(text), ...scan(text) };
  } catch {
    return null;
  }
}

interface Level {
  readonly path: string;
  readonly isObject: boolean;
  count: number;
  key: string | null;
}

function scan(text: string): Omit<JsonFacts, 'value'> {
  const keys: string[] = [];
  const numbers: string[] = [];
  const levels: Level[] = [];
  let depth = 0;
  let wellFormed = true;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],]|[^\s{}[\],:"]+/g)) {
    const level = levels.at(-1);
    if (token === '{' || token === '[') {
      const path = level === undefined ? '' : `${level.path}/${JSON.stringify(level.key ?? level.count)}`;
      levels.push({ path, isObject: token === '{', count: 0, key: null });
      depth = Math.max(depth, levels.length);
    } else if (token === '}' || token === ']') {
      levels.pop();
    } else if (token === ',') {
      if (level !== undefined) Object.assign(level, { count: level.count + 1, key: null });
    } else if (token.startsWith('"')) {
      const string: string = JSON.parse(token);
      if (/\p{Surrogate}/u.test(string)) wellFormed = false;
      if (level?.isObject === true && level.key === null) {
        level.key = string;
        keys.push(`${level.path}/${JSON.stringify(string)}`);
      }
    } else if (!['true', 'false', 'null'].includes(token)) {
      numbers.push(token);
    }
  }
  return { keys, numbers, depth, wellFormed };
}

/** Whether a value is an object as JSON has it, neither array nor null. */
export function isJsonObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
