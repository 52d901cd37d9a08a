// Every failure that a user can meet, as one sentence of what happened and one of what to do.
import { ConnectionError, ConnectionErrorReason } from 'livekit-client';

export interface Problem {
  title: string;
  hint: string;
}

export type Device = 'camera' | 'microphone' | 'screen';

export class ProblemError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.title);
  }
}

export function deviceProblem(error: unknown, device: Device): Problem {
  const what = device === 'screen' ? 'screen' : device;
  switch (error instanceof Error ? error.name : '') {
    case 'NotAllowedError':
    case 'SecurityError':
      return {
        title: `The browser may not use your ${what}.`,
        hint: 'Allow it through the icon beside the address, then try again. You can also join without it.',
      };
    case 'NotFoundError':
    case 'DevicesNotFoundError':
    case 'OverconstrainedError':
      return {
        title: `No ${what} was found.`,
        hint: 'Plug one in or choose another under Devices. You can also join without it.',
      };
    case 'NotReadableError':
    case 'TrackStartError':
      return {
        title: `The ${what} is in use by another program.`,
        hint: 'Close the other program, or choose another device, then try again.',
      };
    default:
      if (!navigator.mediaDevices) {
        return {
          title: `The browser hides the ${what} from this page.`,
          hint: 'Open the page over https or on localhost; browsers give devices to no other address.',
        };
      }
      return { title: `The ${what} did not start.`, hint: `Try again, or choose another device. (${words(error)})` };
  }
}

export function joinProblem(error: unknown): Problem {
  if (error instanceof ProblemError) return error.problem;
  if (error instanceof ConnectionError) {
    switch (error.reason) {
      case ConnectionErrorReason.NotAllowed:
        return { title: 'The server did not let you in.', hint: `${sentence(error.message)} Ask whoever runs the room.` };
      case ConnectionErrorReason.ServerUnreachable:
      case ConnectionErrorReason.WebSocket:
        return { title: 'The server cannot be reached.', hint: 'Check your connection, then try again.' };
      case ConnectionErrorReason.Timeout:
        return {
          title: 'The server took too long to answer.',
          hint: 'Try again. If it keeps happening, a firewall may block the call.',
        };
      default:
        return mediaProblem(error.message);
    }
  }
  return { title: 'The call could not be joined.', hint: sentence(words(error)) };
}

/** Signalling works and media does not find its way. */
function mediaProblem(message: string): Problem {
  const title = 'The call could not be joined.';
  const onThisMachine = ['localhost', '127.0.0.1', '[::1]'].includes(location.hostname);
  if (onThisMachine && navigator.userAgent.includes('Firefox/')) {
    return {
      title: 'Firefox sends no media to a server that only listens on this machine.',
      hint: 'Use another browser here, or let the server listen on this machine’s address: “sluice dev --help” says how.',
    };
  }
  return { title, hint: sentence(message) };
}

function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function sentence(text: string): string {
  const trimmed = text.trim();
  if (trimmed === '') return 'Try again.';
  return /[.!?]$/.test(trimmed) ? trimmed : `${trimmed}.`;
}
