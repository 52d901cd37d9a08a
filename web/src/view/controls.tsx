// The bar at the bottom of a call.
import type { ComponentChildren } from 'preact';
import type { CallState } from '../call/model.ts';
import { canShareScreen } from '../media/capture.ts';
import { useWords } from '../words/index.ts';
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
  const w = useWords();
  return (
    <div class="controls" role="toolbar" aria-label={w.callControls}>
      <Control
        label={state.microphoneOn ? w.mute : w.unmute}
        shortcut="m"
        look={state.microphoneOn ? '' : 'off'}
        onClick={actions.toggleMicrophone}
      >
        <MicrophoneIcon off={!state.microphoneOn} />
      </Control>
      <Control
        label={state.cameraOn ? w.cameraOff : w.cameraOn}
        shortcut="v"
        look={state.cameraOn ? '' : 'off'}
        onClick={actions.toggleCamera}
      >
        <CameraIcon off={!state.cameraOn} />
      </Control>
      {canShareScreen() && (
        <Control
          label={state.sharingScreen ? w.stopSharing : w.shareScreen}
          shortcut="s"
          look={state.sharingScreen ? 'active' : ''}
          onClick={actions.toggleScreen}
        >
          <ScreenIcon />
        </Control>
      )}
      <Control
        label={showStats ? w.hideFigures : w.showFigures}
        shortcut="i"
        look={showStats ? 'active' : ''}
        onClick={actions.toggleStats}
      >
        <StatsIcon />
      </Control>
      <Control label={w.devices} look="" onClick={actions.chooseDevices}>
        <DevicesIcon />
      </Control>
      <Control label={w.leaveCall} look="leave" onClick={actions.leave}>
        <LeaveIcon />
      </Control>
    </div>
  );
}

interface ControlProps {
  label: string;
  shortcut?: string;
  look: '' | 'off' | 'active' | 'leave';
  testId?: string;
  disabled?: boolean;
  /** Left out on a phone, which has no room for it. */
  wideOnly?: boolean;
  onClick(): void;
  children: ComponentChildren;
}

export function Control({ label, shortcut, look, testId, disabled, wideOnly, onClick, children }: ControlProps) {
  return (
    <button
      type="button"
      class={`round ${look} ${wideOnly ? 'wide-only' : ''}`}
      data-testid={testId}
      disabled={disabled}
      aria-label={label}
      aria-keyshortcuts={shortcut}
      data-hint={shortcut ? `${label} (${shortcut})` : label}
      onClick={onClick}
    >
      {children}
    </button>
  );
}
