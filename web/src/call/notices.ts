// Short messages at the edge of the call; each goes away by itself.
import { Store } from '../store.ts';
import type { Problem } from '../problem.ts';
import type { Notice } from './model.ts';

/** Long enough to read a name; longer would pile up when a class of twelve arrives. */
const INFO_MS = 4_000;
/** A problem asks the reader to do something, so it stays for longer. */
const PROBLEM_MS = 10_000;
/** More than these cover the pictures on a phone. */
const MOST = 4;

export class Notices {
  readonly store = new Store<Notice[]>([]);
  #nextId = 1;

  inform(title: string): void {
    this.#show({ id: this.#nextId++, kind: 'info', title, hint: '' }, INFO_MS);
  }

  warn(problem: Problem): void {
    this.#show({ id: this.#nextId++, kind: 'problem', ...problem }, PROBLEM_MS);
  }

  dismiss(id: number): void {
    this.store.update((notices) => notices.filter((notice) => notice.id !== id));
  }

  #show(notice: Notice, forMs: number): void {
    this.store.update((notices) => [...notices, notice].slice(-MOST));
    setTimeout(() => this.dismiss(notice.id), forMs);
  }
}
