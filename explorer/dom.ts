// The page's elements: those it has, by id, and those that are made.

/** The element of the page with this id. Throws if there is none of that kind: page and program then do not belong together. */
export function byId<E extends HTMLElement>(id: string, kind: new () => E): E {
  const found = document.getElementById(id);
  if (!(found instanceof kind))
    throw new TypeError(`byId: expected a ${kind.name} called ${id}, got ${String(found)}`);
  return found;
}

/** A new element with attributes and what is in it. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string>> = {},
  ...content: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...content);
  return made;
}

/** The radio button of a group that is chosen. Throws if none is. */
export function chosenRadio(name: string): HTMLInputElement {
  const found = document.querySelector<HTMLInputElement>(`input[name="${name}"]:checked`);
  if (found === null) throw new TypeError(`chosenRadio: expected one of ${name} to be chosen, got none`);
  return found;
}
