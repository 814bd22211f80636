// Many drawn cases in one test: all of them are dispatched and read together, then judged one after the other.

/** Judges each case; an error says which one it was. */
export function judgeEach<C>(drawn: readonly C[], judge: (one: C, i: number) => void): void {
  drawn.forEach((one, i) => {
    try {
      judge(one, i);
    } catch (error) {
      throw new Error(`case ${i}, ${JSON.stringify(one)}: ${(error as Error).message}`, { cause: error });
    }
  });
}
