// The bar at the bottom of a product's call. The camera of an audio call asks first.
import type { CallView } from '@sluice-calls/client';
import type { Call as MediaCall, CallState } from '../../call/model.ts';
import { canShareScreen } from '../../media/capture.ts';
import { Control } from '../../view/controls.tsx';
import {
  AddPersonIcon, CameraIcon, DevicesIcon, LeaveIcon, MicrophoneIcon, PauseIcon, PlayIcon, ScreenIcon,
} from '../../view/icons.tsx';
import { useWords } from '../../words/index.ts';
import type { CallSession } from '../call-session.ts';
import type { Product } from '../product.ts';

interface Props {
  session: CallSession;
  view: CallView | null;
  media: MediaCall | null;
  state: CallState;
  product: Product;
  onAdd(): void;
  onDevices(): void;
  onLeave(): void;
}

export function CallControls({ session, view, media, state, product, onAdd, onDevices, onLeave }: Props) {
  const w = useWords();
  const active = view?.state === 'active';
  const held = view?.onHold ?? false;
  const ready = media !== null && !held;
  return (
    <div class="controls" role="toolbar" aria-label={w.callControls}>
      <Control
        label={state.microphoneOn ? w.mute : w.unmute}
        shortcut="m"
        testId="toggle-microphone"
        look={state.microphoneOn ? '' : 'off'}
        disabled={!ready}
        onClick={() => void media?.setMicrophone(!state.microphoneOn)}
      >
        <MicrophoneIcon off={!state.microphoneOn} />
      </Control>
      <CameraControl session={session} view={view} media={media} state={state} product={product} ready={ready} />
      {canShareScreen() && (
        <Control
          label={state.sharingScreen ? w.stopSharing : w.shareScreen}
          shortcut="s"
          testId="toggle-screen"
          look={state.sharingScreen ? 'active' : ''}
          disabled={!ready || !active}
          onClick={() => void media?.setScreen(!state.sharingScreen)}
        >
          <ScreenIcon />
        </Control>
      )}
      <Control
        label={held ? w.resume : w.hold}
        testId="hold"
        look={held ? 'active' : ''}
        disabled={!active}
        onClick={() => void product.attempt(() => session.hold(!held))}
      >
        {held ? <PlayIcon /> : <PauseIcon />}
      </Control>
      <Control label={w.addPeople} testId="add-people" look="" disabled={!active} onClick={onAdd}>
        <AddPersonIcon />
      </Control>
      <Control label={w.devices} look="" wideOnly disabled={!media} onClick={onDevices}>
        <DevicesIcon />
      </Control>
      <Control label={view?.kind === 'group' ? w.leaveCall : w.hangUp} testId="hangup" look="leave" onClick={onLeave}>
        <LeaveIcon />
      </Control>
    </div>
  );
}

type CameraProps = Pick<Props, 'session' | 'view' | 'media' | 'state' | 'product'> & { ready: boolean };

function CameraControl({ session, view, media, state, product, ready }: CameraProps) {
  const w = useWords();
  // Before the server has said anything, the kind of call says what will be allowed.
  const allowed = view ? view.videoAllowed : true;
  if (!allowed) {
    return (
      <Control
        label={w.askVideo}
        shortcut="v"
        testId="upgrade-ask"
        look=""
        disabled={!ready || view?.state !== 'active' || view.upgradeRequestedBy !== ''}
        onClick={() => void product.attempt(() => session.askForVideo())}
      >
        <CameraIcon off />
      </Control>
    );
  }
  return (
    <Control
      label={state.cameraOn ? w.cameraOff : w.cameraOn}
      shortcut="v"
      testId="toggle-camera"
      look={state.cameraOn ? '' : 'off'}
      disabled={!ready}
      onClick={() => void media?.setCamera(!state.cameraOn)}
    >
      <CameraIcon off={!state.cameraOn} />
    </Control>
  );
}
