// Opening the camera and the microphone, for the lobby's preview and for the call.
import {
  LocalVideoTrack,
  Track,
  VideoPresets,
  createLocalAudioTrack,
  createLocalVideoTrack,
  type AudioCaptureOptions,
  type LocalAudioTrack,
  type VideoCaptureOptions,
} from 'livekit-client';
import { loadPreferences } from '../preferences.ts';

/** 720p: large enough for a full window, small enough for a laptop to encode in three layers. */
export function cameraOptions(): VideoCaptureOptions {
  const deviceId = loadPreferences().cameraId;
  return { resolution: VideoPresets.h720.resolution, ...(deviceId ? { deviceId } : {}) };
}

export function microphoneOptions(): AudioCaptureOptions {
  const deviceId = loadPreferences().microphoneId;
  return {
    echoCancellation: true,
    noiseSuppression: true,
    autoGainControl: true,
    ...(deviceId ? { deviceId } : {}),
  };
}

export async function openCamera(drawn: boolean, name: string): Promise<LocalVideoTrack> {
  if (!drawn) return createLocalVideoTrack(cameraOptions());
  const { drawCamera } = await import('./drawn-camera.ts');
  const track = new LocalVideoTrack(drawCamera(name || String(Math.random())), undefined, true);
  track.source = Track.Source.Camera;
  return track;
}

export function openMicrophone(): Promise<LocalAudioTrack> {
  return createLocalAudioTrack(microphoneOptions());
}

export function canShareScreen(): boolean {
  return typeof navigator.mediaDevices?.getDisplayMedia === 'function';
}
