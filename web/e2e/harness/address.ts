// An IPv4 address in the forms in which a message may carry it.

/** RFC 8489, section 14.2: XOR-MAPPED-ADDRESS carries the address XORed with this. */
const MAGIC_COOKIE = [0x21, 0x12, 0xa4, 0x42];

export type Form = 'text' | 'bytes' | 'xor-mapped';

/** The first form in which `content` holds the address; `null`: in none. */
export function formOf(address: string, content: Buffer): Form | null {
  if (holdsText(address, content)) return 'text';
  const bytes = Buffer.from(address.split('.').map(Number));
  if (content.includes(bytes)) return 'bytes';
  const mapped = Buffer.from(bytes.map((byte, at) => byte ^ (MAGIC_COOKIE[at] ?? 0)));
  return content.includes(mapped) ? 'xor-mapped' : null;
}

/** As a whole: 10.0.0.1 is not in 10.0.0.12. */
function holdsText(address: string, content: Buffer): boolean {
  for (let at = content.indexOf(address); at >= 0; at = content.indexOf(address, at + 1)) {
    const digit = (index: number) => /[0-9]/.test(String.fromCharCode(content[index] ?? 0));
    if (!digit(at - 1) && !digit(at + address.length)) return true;
  }
  return false;
}
