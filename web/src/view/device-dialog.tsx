// The choice of microphone, camera and speaker.
import { useEffect, useRef, useState } from 'preact/hooks';
import type { DeviceKind } from '../call/model.ts';
import { useWords } from '../words/index.ts';
import { CloseIcon } from './icons.tsx';

const KINDS = [
  { kind: 'audioinput', label: 'microphone' },
  { kind: 'videoinput', label: 'camera' },
  { kind: 'audiooutput', label: 'speaker' },
] as const;

/** Firefox and Safari have no choice of speaker on every platform. */
const canChooseSpeaker = 'setSinkId' in HTMLMediaElement.prototype;

interface Props {
  active(kind: DeviceKind): string;
  onUse(kind: DeviceKind, id: string): void;
  onClose(): void;
}

export function DeviceDialog({ active, onUse, onClose }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const w = useWords();
  const devices = useDevices();
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog
      ref={dialog}
      class="dialog"
      aria-labelledby="devices-title"
      onClose={onClose}
      onClick={(event) => event.target === dialog.current && dialog.current?.close()}
    >
      <div class="dialog-body">
        <header>
          <h2 id="devices-title">{w.devices}</h2>
          <button type="button" class="icon-button" aria-label={w.close} onClick={() => dialog.current?.close()}>
            <CloseIcon />
          </button>
        </header>
        {KINDS.filter(({ kind }) => kind !== 'audiooutput' || canChooseSpeaker).map(({ kind, label }) => (
          <DeviceSelect
            key={kind}
            label={w[label]}
            devices={devices.filter((device) => device.kind === kind)}
            active={active(kind)}
            onUse={(id) => onUse(kind, id)}
          />
        ))}
      </div>
    </dialog>
  );
}

interface SelectProps {
  label: string;
  devices: MediaDeviceInfo[];
  active: string;
  onUse(id: string): void;
}

function DeviceSelect({ label, devices, active, onUse }: SelectProps) {
  const w = useWords();
  // Before permission is given, browsers list devices without ids and names.
  const named = devices.filter((device) => device.deviceId !== '');
  const chosen = named.some((device) => device.deviceId === active) ? active : (named[0]?.deviceId ?? '');
  return (
    <label class="field">
      <span>{label}</span>
      <select value={chosen} disabled={named.length === 0} onChange={(event) => onUse(event.currentTarget.value)}>
        {named.length === 0 && <option value="">{w.noneAvailable}</option>}
        {named.map((device, index) => (
          <option key={device.deviceId} value={device.deviceId}>
            {device.label || `${label} ${index + 1}`}
          </option>
        ))}
      </select>
    </label>
  );
}

function useDevices(): MediaDeviceInfo[] {
  const [devices, setDevices] = useState<MediaDeviceInfo[]>([]);
  useEffect(() => {
    const media = navigator.mediaDevices;
    if (!media) return;
    let gone = false;
    const list = () =>
      void media.enumerateDevices().then((found) => {
        if (!gone) setDevices(found);
      });
    list();
    media.addEventListener('devicechange', list);
    return () => {
      gone = true;
      media.removeEventListener('devicechange', list);
    };
  }, []);
  return devices;
}
