const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
/** A UTF-16 code unit never becomes more bytes of UTF-8 than this. */
const BYTES_PER_UNIT_MAX = 3;

/** Appends, then drops whole characters from the front until at most `sizeBytesMax` bytes of UTF-8 are left. */
export function appendTail(output: string, text: string, sizeBytesMax: number): string {
  const joined = output + text;
  if (joined.length * BYTES_PER_UNIT_MAX <= sizeBytesMax) return joined;
  const bytes = encoder.encode(joined);
  if (bytes.length <= sizeBytesMax) return joined;
  let start = bytes.length - sizeBytesMax;
  while (start < bytes.length && isContinuation(bytes[start])) start += 1;
  return decoder.decode(bytes.subarray(start));
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}
