// A test that runs in a page: what it is called, and what throws if it fails.

export interface PageTest {
  readonly title: string;
  readonly run: () => Promise<void>;
}

/** Throws unless `got` is `wanted`, in the form of the library's own errors. */
export function expectEqual(who: string, got: unknown, wanted: unknown): void {
  const [gotText, wantedText] = [JSON.stringify(got), JSON.stringify(wanted)];
  if (gotText !== wantedText) throw new Error(`${who}: expected ${wantedText}, got ${gotText}`);
}

/** Throws unless `promise` fails with a message that matches. */
export async function expectFailure(who: string, promise: Promise<unknown>, message: RegExp): Promise<void> {
  const got = await promise.then(() => 'nothing wrong', String);
  if (!message.test(got)) throw new Error(`${who}: expected ${message}, got ${got}`);
}
