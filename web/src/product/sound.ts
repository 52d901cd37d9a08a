// What ringing sounds like, made by the page itself. Browsers give sound only to pages that somebody has touched.
import { loadPreferences } from '../preferences.ts';

interface Note {
  /** In seconds from the beginning of the pattern. */
  at: number;
  for: number;
  hertz: number;
  loudness: number;
}

interface Pattern {
  notes: Note[];
  everyMs: number;
}

/** Two rising steps and a pause: neither an alarm nor the sound of any telephone company. */
const RING: Pattern = {
  everyMs: 2_600,
  notes: [
    { at: 0, for: 0.34, hertz: 659, loudness: 0.22 },
    { at: 0.16, for: 0.4, hertz: 880, loudness: 0.22 },
    { at: 0.5, for: 0.34, hertz: 659, loudness: 0.18 },
    { at: 0.66, for: 0.6, hertz: 988, loudness: 0.2 },
  ],
};

/** What the caller hears while it rings over there. */
const RINGBACK: Pattern = {
  everyMs: 3_600,
  notes: [
    { at: 0, for: 1.1, hertz: 440, loudness: 0.045 },
    { at: 0, for: 1.1, hertz: 554, loudness: 0.035 },
  ],
};

/** Somebody talks already: a hint is enough. */
const WAITING: Pattern = { everyMs: 5_000, notes: [{ at: 0, for: 0.25, hertz: 740, loudness: 0.06 }] };

const PATTERNS = { ring: RING, ringback: RINGBACK, waiting: WAITING };

export type Sound = keyof typeof PATTERNS;

let context: AudioContext | null = null;
let timer: ReturnType<typeof setInterval> | undefined;
let playing: Sound | null = null;
let output: GainNode | null = null;

/** Plays one sound over and over, or none. */
export function play(sound: Sound | null): void {
  const wanted = sound === 'ringback' || loadPreferences().ringSound ? sound : null;
  if (wanted === playing) return;
  playing = wanted;
  clearInterval(timer);
  hush();
  if (!wanted) return;
  const pattern = PATTERNS[wanted];
  strike(pattern);
  timer = setInterval(() => strike(pattern), pattern.everyMs);
}

function hush(): void {
  if (!output || !context) return;
  output.gain.setTargetAtTime(0, context.currentTime, 0.02);
  output = null;
}

function strike(pattern: Pattern): void {
  if (!navigator.userActivation?.hasBeenActive) return;
  context ??= new AudioContext();
  void context.resume();
  if (!output) {
    output = context.createGain();
    output.connect(context.destination);
  }
  for (const note of pattern.notes) sing(context, output, note);
}

function sing(context: AudioContext, output: GainNode, note: Note): void {
  const start = context.currentTime + 0.03 + note.at;
  const oscillator = context.createOscillator();
  const gain = context.createGain();
  oscillator.type = 'triangle';
  oscillator.frequency.value = note.hertz;
  gain.gain.setValueAtTime(0, start);
  gain.gain.linearRampToValueAtTime(note.loudness, start + 0.025);
  gain.gain.exponentialRampToValueAtTime(0.0008, start + note.for);
  oscillator.connect(gain).connect(output);
  oscillator.start(start);
  oscillator.stop(start + note.for + 0.05);
}
