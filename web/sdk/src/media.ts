// From a call to sound and pictures, with the `livekit-client` package. Its own entry, so that ringing alone needs none.
import { Room, type RoomConnectOptions, type RoomOptions } from 'livekit-client';
import type { Call } from './call.js';
import { CallsError } from './errors.js';

export interface JoinMediaOptions {
  /** An existing room object, e.g. with listeners already attached. */
  room?: Room;
  /** For a new one. */
  roomOptions?: RoomOptions;
  connectOptions?: RoomConnectOptions;
  /** Turn the microphone on. Default: true. */
  microphone?: boolean;
  /** Turn the camera on. Default: in a video call in which this user may send video. */
  camera?: boolean;
}

/**
 * Enters the room of a call that this device has accepted, made or joined. The room's tracks and events are those of
 * `livekit-client`; leave it with `room.disconnect()`, and the call with `call.leave()`.
 */
export async function joinMedia(call: Call, options: JoinMediaOptions = {}): Promise<Room> {
  const media = call.media ?? (call.over ? null : await call.refreshMedia());
  if (!media) throw new CallsError('FAILED_PRECONDITION', 'NO_MEDIA', 'the call has no room for this device');
  const room = options.room ?? new Room({ adaptiveStream: true, dynacast: true, ...options.roomOptions });
  await room.connect(media.url, media.token, options.connectOptions);
  const camera = options.camera ?? (call.type === 'video' && call.view.videoAllowed);
  await Promise.all([
    (options.microphone ?? true) ? room.localParticipant.setMicrophoneEnabled(true) : null,
    camera ? room.localParticipant.setCameraEnabled(true) : null,
  ]);
  return room;
}
