// A plain room by link, in its three states: before, during and after the call.
import { useEffect, useState } from 'preact/hooks';
import { readAddress } from './address.ts';
import type { Call } from './call/model.ts';
import type { Problem } from './problem.ts';
import { CallView } from './view/call-view.tsx';
import { EndedView } from './view/ended.tsx';
import { Lobby } from './view/lobby.tsx';

type Scene = { at: 'lobby' } | { at: 'call'; call: Call } | { at: 'ended'; problem: Problem | null };

export function RoomApp() {
  const [scene, setScene] = useState<Scene>({ at: 'lobby' });
  const call = scene.at === 'call' ? scene.call : null;

  useEffect(() => {
    const { mock } = readAddress();
    if (!import.meta.env.DEV || !mock) return;
    const screen = new URLSearchParams(location.search).has('screen');
    void import('./call/mock-call.ts').then(({ MockCall }) => setScene({ at: 'call', call: new MockCall(mock, screen) }));
  }, []);

  useEffect(() => {
    if (!call) return;
    document.title = `${call.room} · Sluice`;
    return call.state.subscribe(() => {
      const { phase, ended } = call.state.get();
      if (phase !== 'ended') return;
      document.title = 'Sluice';
      setScene({ at: 'ended', problem: ended });
    });
  }, [call]);

  switch (scene.at) {
    case 'lobby':
      return <Lobby onJoined={(joined) => setScene({ at: 'call', call: joined })} />;
    case 'call':
      return <CallView call={scene.call} />;
    case 'ended':
      return <EndedView problem={scene.problem} onBack={() => setScene({ at: 'lobby' })} />;
  }
}
