// A value that views can watch. The call owns its stores; views only read them.
import { useEffect, useState } from 'preact/hooks';

export interface Readable<T> {
  get(): T;
  subscribe(listener: () => void): () => void;
}

export class Store<T> implements Readable<T> {
  #value: T;
  readonly #listeners = new Set<() => void>();

  constructor(initial: T) {
    this.#value = initial;
  }

  get(): T {
    return this.#value;
  }

  set(value: T): void {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const listener of [...this.#listeners]) listener();
  }

  update(change: (value: T) => T): void {
    this.set(change(this.#value));
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

/** Renders the component again whenever the store's value changes. */
export function useStore<T>(store: Readable<T>): T {
  const [, redraw] = useState({});
  useEffect(() => {
    const drawn = store.get();
    const unsubscribe = store.subscribe(() => redraw({}));
    // The value may have changed between rendering and this effect.
    if (!Object.is(drawn, store.get())) redraw({});
    return unsubscribe;
  }, [store]);
  return store.get();
}
