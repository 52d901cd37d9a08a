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

export const PhoneIcon = () => (
  <Icon>
    <path d="M5.2 3.8h3.1l1.6 4.3-2 1.6a12.5 12.5 0 0 0 6.4 6.4l1.6-2 4.3 1.6v3.1c0 1-.8 1.7-1.7 1.6C10.7 19.8 4.2 13.3 3.6 5.5c0-.9.7-1.7 1.6-1.7z" />
  </Icon>
);

export const HangUpIcon = LeaveIcon;

export const BackIcon = () => (
  <Icon>
    <path d="M14.5 5.5L8 12l6.5 6.5" />
  </Icon>
);

export const ChatIcon = () => (
  <Icon>
    <path d="M4 11.5c0-4 3.6-6.8 8-6.8s8 2.8 8 6.8-3.6 6.8-8 6.8c-1 0-2-.15-2.9-.42L5 19.5l.95-3.1A6.4 6.4 0 0 1 4 11.5z" />
  </Icon>
);

export const GearIcon = () => (
  <Icon>
    <circle cx="12" cy="12" r="3" />
    <path d="M12 3.5v2.6M12 17.9v2.6M3.5 12h2.6M17.9 12h2.6M6 6l1.85 1.85M16.15 16.15L18 18M18 6l-1.85 1.85M7.85 16.15L6 18" />
  </Icon>
);

export const SearchIcon = () => (
  <Icon>
    <circle cx="11" cy="11" r="6" />
    <path d="M15.5 15.5L20 20" />
  </Icon>
);

export const SendIcon = () => (
  <Icon>
    <path d="M4.5 12L4 5l16.5 7L4 19zM4.5 12H12" />
  </Icon>
);

export const PauseIcon = () => (
  <Icon>
    <path d="M9 6v12M15 6v12" />
  </Icon>
);

export const PlayIcon = () => (
  <Icon>
    <path d="M8.5 5.5l9.5 6.5-9.5 6.5z" />
  </Icon>
);

export const AddPersonIcon = () => (
  <Icon>
    <circle cx="10" cy="8.5" r="3.6" />
    <path d="M3.5 19.5c0-3.6 2.9-5.6 6.5-5.6 1.7 0 3.2.4 4.4 1.3M18 14v6M15 17h6" />
  </Icon>
);

export const GroupIcon = PeopleIcon;

export const PlusIcon = () => (
  <Icon>
    <path d="M12 5v14M5 12h14" />
  </Icon>
);

export const BlockIcon = () => (
  <Icon>
    <circle cx="12" cy="12" r="8.2" />
    <path d="M6.3 6.3l11.4 11.4" />
  </Icon>
);

export const ContactIcon = () => (
  <Icon>
    <rect x="4" y="4.5" width="16" height="15" rx="3" />
    <circle cx="12" cy="10.5" r="2.4" />
    <path d="M7.8 16.5c.6-1.8 2.2-2.8 4.2-2.8s3.6 1 4.2 2.8" />
  </Icon>
);

export const BellOffIcon = () => (
  <Icon>
    <path d="M6.5 16.5c1-1.3 1.3-2.7 1.3-5 0-2.7 1.7-4.7 4.2-4.7s4.2 2 4.2 4.7c0 2.3.3 3.7 1.3 5zM10.3 19.2c.9 1 2.5 1 3.4 0" />
    {slash}
  </Icon>
);

export const DeviceMoveIcon = () => (
  <Icon>
    <rect x="3.5" y="5" width="9" height="14" rx="2" />
    <path d="M15 12h6M18.5 9.3L21.2 12l-2.7 2.7" />
  </Icon>
);

export const StarIcon = ({ filled = false }: { filled?: boolean }) => (
  <Icon>
    <path
      fill={filled ? 'currentColor' : 'none'}
      d="M12 4l2.4 5 5.5.7-4 3.8 1 5.5-4.9-2.7L7.1 19l1-5.5-4-3.8 5.5-.7z"
    />
  </Icon>
);

export const ArrowInIcon = () => (
  <Icon>
    <path d="M17.5 6.5l-10 10M7.5 9v7.5H15" />
  </Icon>
);

export const ArrowOutIcon = () => (
  <Icon>
    <path d="M6.5 17.5l10-10M9 7.5h7.5V15" />
  </Icon>
);

export const Logo = () => (
  <svg class="logo" viewBox="0 0 32 32" aria-hidden="true">
    <rect width="32" height="32" rx="9" class="logo-ground" />
    <path d="M8 8h11a4 4 0 0 1 0 8h-4a4 4 0 0 0 0 8h9" class="logo-stream" />
  </svg>
);
