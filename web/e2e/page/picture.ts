// What a participant sends: a picture of one colour that nobody else has, and a tone.

import { audioContext } from './sound.ts';

export type Colour = [red: number, green: number, blue: number];

export interface PictureOptions {
  colour: Colour;
  width: number;
  height: number;
  framesPerSecond: number;
}

/** The colour fills the picture but for a small square that moves, so that every frame differs. */
export function drawPicture({ colour, width, height, framesPerSecond }: PictureOptions): MediaStreamTrack {
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  const pen = canvas.getContext('2d', { alpha: false });
  if (!pen) throw new Error('no 2d canvas');
  let frame = 0;
  const size = Math.round(height / 8);
  const draw = () => {
    pen.fillStyle = `rgb(${colour.join(' ')})`;
    pen.fillRect(0, 0, width, height);
    pen.fillStyle = '#fff';
    pen.fillRect((frame++ * 8) % (width - size), height - size, size, size);
  };
  draw();
  const track = canvas.captureStream(framesPerSecond).getVideoTracks()[0];
  if (!track) throw new Error('the canvas gives no track');
  const timer = setInterval(() => (track.readyState === 'ended' ? clearInterval(timer) : draw()), 1000 / framesPerSecond);
  return track;
}

/** Firefox without a sound card runs no AudioContext; its fake microphone then plays the tone it was started with. */
export async function playTone(hertz: number): Promise<MediaStreamTrack> {
  const context = audioContext();
  const oscillator = new OscillatorNode(context, { frequency: hertz });
  const quieter = new GainNode(context, { gain: 0.3 });
  const output = context.createMediaStreamDestination();
  oscillator.connect(quieter).connect(output);
  oscillator.start();
  const runs = await Promise.race([context.resume().then(() => true), pause(1_000).then(() => false)]);
  const stream = runs ? output.stream : await navigator.mediaDevices.getUserMedia({ audio: true });
  const track = stream.getAudioTracks()[0];
  if (!track) throw new Error('the tone gives no track');
  return track;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
