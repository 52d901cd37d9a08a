// Initials and a colour for somebody without a picture.

export function initials(name: string): string {
  const words = name.trim().split(/[\s._-]+/).filter(Boolean);
  const first = words[0]?.[Symbol.iterator]().next().value ?? '?';
  const last = words.length > 1 ? (words.at(-1)?.[Symbol.iterator]().next().value ?? '') : '';
  return (first + last).toLocaleUpperCase();
}

/** A hue of 0 to 359, the same for the same name on every device. */
export function hueOf(name: string): number {
  let value = 7;
  for (const char of name) value = (value * 31 + (char.codePointAt(0) ?? 0)) % 360;
  return value;
}

const COLOURS = ['amber', 'coral', 'ivory', 'jade', 'lilac', 'misty', 'silver', 'sunny', 'teal', 'velvet'];
const PLACES = ['bay', 'bridge', 'canal', 'cove', 'delta', 'harbour', 'lagoon', 'lake', 'river', 'spring'];

/** A room name that can be said over the phone; the number keeps strangers apart. */
export function suggestRoom(): string {
  const pick = crypto.getRandomValues(new Uint16Array(3));
  const [a = 0, b = 0, c = 0] = pick;
  return `${COLOURS[a % COLOURS.length]}-${PLACES[b % PLACES.length]}-${100 + (c % 900)}`;
}
