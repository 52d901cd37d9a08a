// Before the call: who are you, which room, and do camera and microphone work?
import { createAudioAnalyser, type LocalAudioTrack, type LocalVideoTrack } from 'livekit-client';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { readAddress, showRoomInAddress } from '../address.ts';
import { joinCall } from '../call/livekit-call.ts';
import type { Call } from '../call/model.ts';
import { Preview } from '../media/preview.ts';
import { loadPreferences, savePreferences } from '../preferences.ts';
import { joinProblem, type Problem } from '../problem.ts';
import { useStore } from '../store.ts';
import { useWords } from '../words/index.ts';
import { DeviceDialog } from './device-dialog.tsx';
import { CameraIcon, DevicesIcon, Logo, MicrophoneIcon, PersonIcon, WarningIcon } from './icons.tsx';
import { hueOf, initials, suggestRoom } from './names.ts';

/** What the server takes; long enough for people's full names, short enough for a tile's label. */
const NAME_LENGTH = 64;
const ROOM_LENGTH = 64;

export function Lobby({ onJoined }: { onJoined(call: Call): void }) {
  const w = useWords();
  const address = useMemo(() => readAddress(), []);
  const [name, setName] = useState(address.name || loadPreferences().name);
  const [room, setRoom] = useState(() => address.room || suggestRoom());
  const [joining, setJoining] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const preview = useMemo(() => new Preview(address.drawnCamera), []);

  useEffect(() => {
    void preview.open(name);
    // Joining hands the tracks over first, so this stops only what is still the lobby's.
    return () => preview.close();
  }, [preview]);

  async function join(event: Event) {
    event.preventDefault();
    if (joining) return;
    const who = { room: room.trim(), name: name.trim() };
    if (!who.room || !who.name) return;
    setJoining(true);
    setProblem(null);
    savePreferences({ name: who.name });
    try {
      const call = await joinCall({ ...address, ...who, tracks: () => preview.tracks() });
      preview.release();
      showRoomInAddress(who.room);
      onJoined(call);
    } catch (error) {
      setProblem(joinProblem(error));
      setJoining(false);
    }
  }

  return (
    <main class="lobby">
      <section class="lobby-preview" aria-label={w.previewLabel}>
        <PreviewPanel preview={preview} name={name} />
      </section>
      <section class="lobby-form">
        <p class="brand">
          <Logo /> Sluice
        </p>
        <h1>{address.room ? w.readyToJoin : w.startCall}</h1>
        <p class="lead">
          {address.room ? w.invitedToRoom : w.chooseRoom}
        </p>
        <form onSubmit={join}>
          <label class="field">
            <span>{w.yourName}</span>
            <input
              name="name"
              value={name}
              maxLength={NAME_LENGTH}
              autocomplete="name"
              placeholder={w.nameHint}
              required
              pattern=".*\S.*"
              autofocus={!name}
              onInput={(event) => setName(event.currentTarget.value)}
            />
          </label>
          <label class="field">
            <span>{w.room}</span>
            <input
              name="room"
              value={room}
              maxLength={ROOM_LENGTH}
              autocomplete="off"
              autocapitalize="off"
              spellcheck={false}
              required
              pattern=".*\S.*"
              onInput={(event) => setRoom(event.currentTarget.value)}
            />
          </label>
          {problem && <ProblemCard problem={problem} />}
          <button class="primary" type="submit" disabled={joining} aria-busy={joining}>
            {joining ? w.joining : problem ? w.tryAgain : w.joinNow}
          </button>
        </form>
      </section>
    </main>
  );
}

export function ProblemCard({ problem }: { problem: Problem }) {
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

function PreviewPanel({ preview, name }: { preview: Preview; name: string }) {
  const w = useWords();
  const state = useStore(preview.state);
  const [choosing, setChoosing] = useState(false);
  const stored = loadPreferences();
  function toggleCamera() {
    const on = state.camera === null;
    savePreferences({ camera: on });
    void preview.setCamera(on, name);
  }
  function toggleMicrophone() {
    const on = state.microphone === null;
    savePreferences({ microphone: on });
    void preview.setMicrophone(on);
  }
  const problem = state.cameraProblem ?? state.microphoneProblem;
  return (
    <>
      <div class="preview-picture">
        {state.camera ? (
          <PreviewVideo track={state.camera} mirrored={!preview.drawnCamera} />
        ) : (
          <div class="avatar" style={{ '--hue': hueOf(name) }} aria-hidden="true">
            {name.trim() ? initials(name) : <PersonIcon />}
          </div>
        )}
        {!state.camera && (
          <p class="preview-note">{state.openingCamera ? w.startingCamera : w.theCameraIsOff}</p>
        )}
        <div class="preview-controls">
          <button
            type="button"
            class={`round ${state.microphone ? '' : 'off'}`}
            aria-label={state.microphone ? w.microphoneTurnOff : w.microphoneTurnOn}
            disabled={state.openingMicrophone}
            onClick={toggleMicrophone}
          >
            <MicrophoneIcon off={!state.microphone} />
          </button>
          <button
            type="button"
            class={`round ${state.camera ? '' : 'off'}`}
            aria-label={state.camera ? w.cameraOff : w.cameraOn}
            disabled={state.openingCamera}
            onClick={toggleCamera}
          >
            <CameraIcon off={!state.camera} />
          </button>
          <button type="button" class="round" aria-label={w.devices} onClick={() => setChoosing(true)}>
            <DevicesIcon />
          </button>
        </div>
      </div>
      <MicrophoneLevel track={state.microphone} />
      {problem && <ProblemCard problem={problem} />}
      {choosing && (
        <DeviceDialog
          active={(kind) =>
            ({
              audioinput: state.microphone?.mediaStreamTrack.getSettings().deviceId ?? stored.microphoneId,
              videoinput: state.camera?.mediaStreamTrack.getSettings().deviceId ?? stored.cameraId,
              audiooutput: stored.speakerId,
            })[kind]
          }
          onUse={(kind, id) => void preview.useDevice(kind, id, name)}
          onClose={() => setChoosing(false)}
        />
      )}
    </>
  );
}

function PreviewVideo({ track, mirrored }: { track: LocalVideoTrack; mirrored: boolean }) {
  const video = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    const element = video.current;
    if (!element) return;
    track.attach(element);
    return () => void track.detach(element);
  }, [track]);
  return <video ref={video} class={mirrored ? 'mirrored' : ''} autoplay playsInline muted />;
}

function MicrophoneLevel({ track }: { track: LocalAudioTrack | null }) {
  const w = useWords();
  const bar = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    if (!track) return;
    const { calculateVolume, cleanup } = createAudioAnalyser(track, { cloneTrack: true });
    let frame = 0;
    const draw = () => {
      bar.current?.style.setProperty('--level', String(Math.min(1, calculateVolume() * 2.5)));
      frame = requestAnimationFrame(draw);
    };
    draw();
    return () => {
      cancelAnimationFrame(frame);
      bar.current?.style.setProperty('--level', '0');
      void cleanup();
    };
  }, [track]);
  return (
    <div class="level" aria-hidden="true">
      <MicrophoneIcon off={!track} />
      <span class="level-track">
        <span ref={bar} class="level-bar" />
      </span>
      <span class="level-text">{track ? w.saySomething : w.theMicrophoneIsOff}</span>
    </div>
  );
}
