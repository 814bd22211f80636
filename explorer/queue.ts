// One task after the other.

export type Enqueue = (kind: string, task: () => Promise<void>) => Promise<void>;

/**
 * A queue: what a task frees is used by no other, and the device computes in order anyway. Of tasks of one kind that wait,
 * only the last is run.
 */
export function createQueue(): Enqueue {
  let end: Promise<void> = Promise.resolve();
  const newest = new Map<string, symbol>();
  return (kind, task) => {
    const ticket = Symbol(kind);
    newest.set(kind, ticket);
    const done = end.then(() => (newest.get(kind) === ticket ? task() : undefined));
    end = done.catch(() => undefined);
    return done;
  };
}
