// The bar at the bottom of a call.
import type { ComponentChildren } from 'preact';
import type { CallState } from '../call/model.ts';
import { canShareScreen } from '../media/capture.ts';
import { CameraIcon, DevicesIcon, LeaveIcon, MicrophoneIcon, ScreenIcon, StatsIcon } from './icons.tsx';

export interface Actions {
  toggleMicrophone(): void;
  toggleCamera(): void;
  toggleScreen(): void;
  toggleStats(): void;
  chooseDevices(): void;
  leave(): void;
}

interface Props {
  state: CallState;
  showStats: boolean;
  actions: Actions;
}

export function Controls({ state, showStats, actions }: Props) {
  return (
    <div class="controls" role="toolbar" aria-label="Call controls">
      <Control
        label={state.microphoneOn ? 'Mute microphone' : 'Unmute microphone'}
        shortcut="m"
        look={state.microphoneOn ? '' : 'off'}
        onClick={actions.toggleMicrophone}
      >
        <MicrophoneIcon off={!state.microphoneOn} />
      </Control>
      <Control
        label={state.cameraOn ? 'Turn camera off' : 'Turn camera on'}
        shortcut="v"
        look={state.cameraOn ? '' : 'off'}
        onClick={actions.toggleCamera}
      >
        <CameraIcon off={!state.cameraOn} />
      </Control>
      {canShareScreen() && (
        <Control
          label={state.sharingScreen ? 'Stop sharing your screen' : 'Share your screen'}
          shortcut="s"
          look={state.sharingScreen ? 'active' : ''}
          onClick={actions.toggleScreen}
        >
          <ScreenIcon />
        </Control>
      )}
      <Control
        label={showStats ? 'Hide figures' : 'Show figures'}
        shortcut="i"
        look={showStats ? 'active' : ''}
        onClick={actions.toggleStats}
      >
        <StatsIcon />
      </Control>
      <Control label="Devices" look="" onClick={actions.chooseDevices}>
        <DevicesIcon />
      </Control>
      <Control label="Leave the call" look="leave" onClick={actions.leave}>
        <LeaveIcon />
      </Control>
    </div>
  );
}

interface ControlProps {
  label: string;
  shortcut?: string;
  look: '' | 'off' | 'active' | 'leave';
  onClick(): void;
  children: ComponentChildren;
}

function Control({ label, shortcut, look, onClick, children }: ControlProps) {
  return (
    <button
      type="button"
      class={`round ${look}`}
      aria-label={label}
      aria-keyshortcuts={shortcut}
      data-hint={shortcut ? `${label} (${shortcut})` : label}
      onClick={onClick}
    >
      {children}
    </button>
  );
}
