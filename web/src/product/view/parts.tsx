// Small pieces that several views of the product share.
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Problem } from '../../problem.ts';
import { useStore } from '../../store.ts';
import { BackIcon, CheckIcon, CloseIcon, GroupIcon, WarningIcon } from '../../view/icons.tsx';
import { initials } from '../../view/names.ts';
import { useWords } from '../../words/index.ts';
import { go } from '../route.ts';
import type { Product } from '../product.ts';
import type { Face } from '../types.ts';

export function Avatar({ face, size = 44, live = false }: { face: Face; size?: number; live?: boolean }) {
  return (
    <span
      class={`face ${face.group ? 'group' : ''} ${live ? 'live' : ''}`}
      style={{ '--hue': face.hue, '--size': `${size}px` }}
      aria-hidden="true"
    >
      {face.group && !face.name ? <GroupIcon /> : initials(face.name)}
    </span>
  );
}

/** The way back on a phone, where list and content do not fit side by side. */
export function BackButton() {
  const w = useWords();
  return (
    <button type="button" class="icon-button narrow-only" aria-label={w.back} data-testid="back" onClick={() => go({ at: 'chats' })}>
      <BackIcon />
    </button>
  );
}

interface DialogProps {
  title: string;
  testId?: string;
  onClose(): void;
  children: ComponentChildren;
}

/** The browser's own dialog: it keeps the focus inside, and Escape closes it. */
export function Dialog({ title, testId, onClose, children }: DialogProps) {
  const w = useWords();
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog
      ref={dialog}
      class="dialog"
      aria-label={title}
      data-testid={testId}
      onClose={onClose}
      onClick={(event) => event.target === dialog.current && dialog.current?.close()}
    >
      <div class="dialog-body">
        <header>
          <h2>{title}</h2>
          <button type="button" class="icon-button" aria-label={w.close} onClick={() => dialog.current?.close()}>
            <CloseIcon />
          </button>
        </header>
        {children}
      </div>
    </dialog>
  );
}

export function ProblemNote({ problem }: { problem: Problem }) {
  return (
    <div class="problem" role="alert">
      <WarningIcon />
      <div>
        <strong>{problem.title}</strong>
        <p>{problem.hint}</p>
      </div>
    </div>
  );
}

export function Toasts({ product }: { product: Product }) {
  const w = useWords();
  const toasts = useStore(product.toasts);
  return (
    <div class="toasts" role="log" aria-live="polite" aria-label={w.messages}>
      {toasts.map((toast) => (
        <div key={toast.id} class={`notice ${toast.problem ? 'notice-problem' : ''}`} data-testid="toast">
          <div>
            <strong>{toast.title}</strong>
            {toast.hint && <p>{toast.hint}</p>}
          </div>
          <button type="button" class="icon-button" aria-label={w.dismiss} onClick={() => product.dismiss(toast.id)}>
            <CloseIcon />
          </button>
        </div>
      ))}
    </div>
  );
}

/** Long enough to be noticed. */
const COPIED_MS = 2_000;

export function CopyButton({ text }: { text: string }) {
  const w = useWords();
  const [copied, setCopied] = useState(false);
  async function copy() {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
      setTimeout(() => setCopied(false), COPIED_MS);
    } catch {
      // No permission for the clipboard: show the link, so that it can be copied by hand.
      window.prompt(w.copyByHand, text);
    }
  }
  return (
    <button type="button" class="secondary" data-testid="copy" onClick={() => void copy()}>
      {copied && <CheckIcon />} {copied ? w.copied : w.copy}
    </button>
  );
}

/** The time, every so often, while something on the screen depends on it. */
export function useNow(everyMs: number, running = true): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (!running) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs, running]);
  return now;
}
