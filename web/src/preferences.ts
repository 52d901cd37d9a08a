// What the page remembers on this device, and nothing else: no identifiers, no history.

export interface Preferences {
  name: string;
  microphone: boolean;
  camera: boolean;
  microphoneId: string;
  cameraId: string;
  speakerId: string;
  /** Empty: the browser's. */
  language: string;
  theme: 'system' | 'light' | 'dark';
  ringSound: boolean;
}

const KEY = 'sluice.preferences';

const DEFAULTS: Preferences = {
  name: '',
  microphone: true,
  camera: true,
  microphoneId: '',
  cameraId: '',
  speakerId: '',
  language: '',
  theme: 'system',
  ringSound: true,
};

export function loadPreferences(): Preferences {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(KEY) ?? '{}');
    return { ...DEFAULTS, ...sameTypes(stored) };
  } catch {
    // Storage may be forbidden or hold something else: a first visit then.
    return { ...DEFAULTS };
  }
}

export function savePreferences(change: Partial<Preferences>): void {
  const next = { ...loadPreferences(), ...change };
  try {
    localStorage.setItem(KEY, JSON.stringify(next));
  } catch {
    // Private windows may refuse to store; the choice then lasts for this visit only.
  }
}

function sameTypes(stored: unknown): Partial<Preferences> {
  if (typeof stored !== 'object' || stored === null) return {};
  const entries = Object.entries(stored).filter(
    ([key, value]) => key in DEFAULTS && typeof value === typeof DEFAULTS[key as keyof Preferences],
  );
  return Object.fromEntries(entries) as Partial<Preferences>;
}
