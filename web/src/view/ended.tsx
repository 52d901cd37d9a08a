// After the call: why it ended, and the way back.
import type { Problem } from '../problem.ts';
import { Logo } from './icons.tsx';

export function EndedView({ problem, onBack }: { problem: Problem | null; onBack(): void }) {
  return (
    <main class="ended">
      <Logo />
      <h1>{problem?.title ?? 'You left the call.'}</h1>
      <p class="lead">{problem?.hint ?? 'The others stay connected until they leave too.'}</p>
      <button type="button" class="primary" autofocus onClick={onBack}>
        Join again
      </button>
    </main>
  );
}
