// After the call: why it ended, and the way back.
import type { Problem } from '../problem.ts';
import { useWords } from '../words/index.ts';
import { Logo } from './icons.tsx';

export function EndedView({ problem, onBack }: { problem: Problem | null; onBack(): void }) {
  const w = useWords();
  return (
    <main class="ended">
      <Logo />
      <h1>{problem?.title ?? w.youLeft}</h1>
      <p class="lead">{problem?.hint ?? w.othersStay}</p>
      <button type="button" class="primary" autofocus onClick={onBack}>
        {w.joinAgain}
      </button>
    </main>
  );
}
