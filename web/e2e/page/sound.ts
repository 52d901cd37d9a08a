// The page's one AudioContext: each has a thread of its own that wakes up hundreds of times a second, whatever it plays.

let context: AudioContext | undefined;

export function audioContext(): AudioContext {
  return (context ??= new AudioContext());
}
