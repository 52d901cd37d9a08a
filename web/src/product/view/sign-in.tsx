// Who are you? A sample person, or a new handle.
import { useEffect, useState } from 'preact/hooks';
import type { Problem } from '../../problem.ts';
import { Logo } from '../../view/icons.tsx';
import { suggestRoom } from '../../view/names.ts';
import { useWords } from '../../words/index.ts';
import { problemOf, type Api } from '../api.ts';
import { deviceId } from '../session.ts';
import type { Person, Session } from '../types.ts';
import { Avatar, ProblemNote } from './parts.tsx';

const SKELETONS = 8;

export function SignInView({ api, onSignedIn }: { api: Api; onSignedIn(session: Session): void }) {
  const w = useWords();
  const [people, setPeople] = useState<Person[] | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);

  useEffect(() => {
    api.samplePeople().then(setPeople, (error: unknown) => {
      setPeople([]);
      setProblem(problemOf(error));
    });
  }, []);

  async function signIn(who: Parameters<Api['signIn']>[0]) {
    if (busy) return;
    setBusy(true);
    setProblem(null);
    try {
      onSignedIn(await api.signIn(who, deviceId()));
    } catch (error) {
      setProblem(problemOf(error));
      setBusy(false);
    }
  }

  return (
    <main class="sign-in">
      <header>
        <p class="brand">
          <Logo /> {w.brand}
        </p>
        <h1>{w.signInTitle}</h1>
        <p class="lead">{w.signInLead}</p>
      </header>
      {problem && <ProblemNote problem={problem} />}
      <div class="sign-in-ways">
        <section aria-labelledby="samples">
          <h2 id="samples">{w.signInSamples}</h2>
          <ul class="sample-people" aria-busy={people === null}>
            {people === null
              ? Array.from({ length: SKELETONS }, (_, index) => <li key={index} class="skeleton sample" />)
              : people.map((person) => (
                  <li key={person.id}>
                    <button
                      type="button"
                      class="sample"
                      data-testid={`signin-person-${person.id}`}
                      disabled={busy}
                      onClick={() => void signIn({ personId: person.id })}
                    >
                      <Avatar face={{ ...person, group: false }} />
                      <span class="row-text">
                        <strong>{person.name}</strong>
                        <small>{person.about || person.handle}</small>
                      </span>
                    </button>
                  </li>
                ))}
          </ul>
        </section>
        <NewHandle busy={busy} onSignIn={(who) => void signIn(who)} />
      </div>
      <footer>
        <a href={`?room=${suggestRoom()}`} data-testid="plain-room">
          {w.plainRoom}
        </a>
      </footer>
    </main>
  );
}

function NewHandle({ busy, onSignIn }: { busy: boolean; onSignIn(who: { handle: string; name?: string }): void }) {
  const w = useWords();
  const [handle, setHandle] = useState('');
  const [name, setName] = useState('');
  const submit = (event: Event) => {
    event.preventDefault();
    const named = name.trim() ? { name: name.trim() } : {};
    if (handle.trim()) onSignIn({ handle: handle.trim(), ...named });
  };
  return (
    <section aria-labelledby="new-here">
      <h2 id="new-here">{w.signInNew}</h2>
      <form class="card" onSubmit={submit}>
        <label class="field">
          <span>{w.handle}</span>
          <input
            value={handle}
            data-testid="signin-handle"
            maxLength={32}
            autocomplete="username"
            autocapitalize="off"
            spellcheck={false}
            placeholder="@asha"
            required
            onInput={(event) => setHandle(event.currentTarget.value)}
          />
          <small>{w.handleHint}</small>
        </label>
        <label class="field">
          <span>{w.yourName}</span>
          <input
            value={name}
            data-testid="signin-name"
            maxLength={64}
            autocomplete="name"
            placeholder={w.nameHint}
            onInput={(event) => setName(event.currentTarget.value)}
          />
        </label>
        <button class="primary" type="submit" data-testid="signin-new" disabled={busy} aria-busy={busy}>
          {busy ? w.signingIn : w.signIn}
        </button>
      </form>
    </section>
  );
}
