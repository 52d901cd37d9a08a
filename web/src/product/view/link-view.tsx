// Somebody followed a call link: one click joins, so that no page turns a microphone on by itself.
import { useEffect, useRef } from 'preact/hooks';
import { Logo } from '../../view/icons.tsx';
import { useWords } from '../../words/index.ts';

interface Props {
  onJoin(): void;
  onClose(): void;
}

export function LinkView({ onJoin, onClose }: Props) {
  const w = useWords();
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} class="over" aria-labelledby="link-title" data-testid="link" onClose={onClose}>
      <Logo />
      <h1 id="link-title">{w.linkTitle}</h1>
      <div class="buttons">
        <button type="button" class="primary" data-testid="link-join" autofocus onClick={() => {
            onClose();
            onJoin();
          }}>
          {w.joinCall}
        </button>
        <button type="button" class="secondary" onClick={onClose}>
          {w.cancel}
        </button>
      </div>
    </dialog>
  );
}
