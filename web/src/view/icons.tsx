// The page's icons: strokes on a 24 by 24 grid, in the colour of the text around them.
import type { JSX } from 'preact';

function Icon({ children }: { children: JSX.Element | JSX.Element[] }) {
  return (
    <svg
      class="icon"
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      stroke-width="1.8"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      {children}
    </svg>
  );
}

const slash = <path d="M4 4l16 16" />;

export const MicrophoneIcon = ({ off = false }: { off?: boolean }) => (
  <Icon>
    <rect x="9" y="3" width="6" height="11" rx="3" />
    <path d="M5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3" />
    {off ? slash : <></>}
  </Icon>
);

export const CameraIcon = ({ off = false }: { off?: boolean }) => (
  <Icon>
    <rect x="3" y="6.5" width="12" height="11" rx="2.5" />
    <path d="M15 10.8l6-3.3v9l-6-3.3" />
    {off ? slash : <></>}
  </Icon>
);

export const ScreenIcon = () => (
  <Icon>
    <rect x="3" y="4.5" width="18" height="12.5" rx="2.5" />
    <path d="M12 14V8.2M9.4 10.6L12 8l2.6 2.6M8.5 20.5h7" />
  </Icon>
);

export const StatsIcon = () => (
  <Icon>
    <path d="M5 20v-6M10 20V9M15 20v-8M20 20V5" />
  </Icon>
);

export const DevicesIcon = () => (
  <Icon>
    <path d="M4 7h9M17 7h3M4 17h3M11 17h9" />
    <circle cx="15" cy="7" r="2.2" />
    <circle cx="9" cy="17" r="2.2" />
  </Icon>
);

export const LeaveIcon = () => (
  <Icon>
    <path d="M3.4 14.2c-.7-3.3 3.6-6.4 8.6-6.4s9.3 3.1 8.6 6.4c-.2 1-1.1 1.5-2.1 1.3l-2.6-.6c-.8-.2-1.3-.9-1.3-1.7v-1.3a9.4 9.4 0 0 0-5.2 0v1.3c0 .8-.5 1.5-1.3 1.7l-2.6.6c-1 .2-1.9-.3-2.1-1.3z" />
  </Icon>
);

export const LinkIcon = () => (
  <Icon>
    <path d="M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.3l-1 1" />
    <path d="M14 10a4 4 0 0 0-5.7 0l-3 3a4 4 0 0 0 5.7 5.7l1-1" />
  </Icon>
);

export const CheckIcon = () => (
  <Icon>
    <path d="M5 12.5l4.5 4.5L19 7.5" />
  </Icon>
);

export const CloseIcon = () => (
  <Icon>
    <path d="M6 6l12 12M18 6L6 18" />
  </Icon>
);

export const PinIcon = () => (
  <Icon>
    <path d="M9 4h6l-.8 6 3.3 3.5v1.5h-11v-1.5L9.8 10zM12 15v5.5" />
  </Icon>
);

export const PeopleIcon = () => (
  <Icon>
    <circle cx="9" cy="8.5" r="3.3" />
    <path d="M3 19.5c0-3.3 2.7-5.3 6-5.3s6 2 6 5.3M15.5 5.5a3.2 3.2 0 0 1 0 6M17.5 14.6c2.1.6 3.5 2.3 3.5 4.9" />
  </Icon>
);

export const PersonIcon = () => (
  <Icon>
    <circle cx="12" cy="8.5" r="3.8" />
    <path d="M4.5 20c0-4 3.3-6.2 7.5-6.2s7.5 2.2 7.5 6.2" />
  </Icon>
);

export const WarningIcon = () => (
  <Icon>
    <path d="M12 4.5l8.5 15h-17zM12 10.5v4M12 17.2v.1" />
  </Icon>
);

export const Logo = () => (
  <svg class="logo" viewBox="0 0 32 32" aria-hidden="true">
    <rect width="32" height="32" rx="9" class="logo-ground" />
    <path d="M8 8h11a4 4 0 0 1 0 8h-4a4 4 0 0 0 0 8h9" class="logo-stream" />
  </svg>
);
