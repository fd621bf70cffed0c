const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const ago = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const date = new Intl.DateTimeFormat("en", { dateStyle: "medium" });
const clock = new Intl.DateTimeFormat("en", { timeStyle: "short" });
const dateAndClock = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });
const number = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** "5 minutes ago", and the date when it is long ago. */
export function timeAgo(at: string, now = Date.now()): string {
  const passed = now - Date.parse(at);
  if (Number.isNaN(passed)) return "";
  if (passed < MINUTE) return "just now";
  if (passed < HOUR) return ago.format(-Math.floor(passed / MINUTE), "minute");
  if (passed < DAY) return ago.format(-Math.floor(passed / HOUR), "hour");
  if (passed < 7 * DAY) return ago.format(-Math.floor(passed / DAY), "day");
  return date.format(Date.parse(at));
}

/** "in 6 days", of a time to come. */
export function timeUntil(at: string, now = Date.now()): string {
  const left = Date.parse(at) - now;
  if (Number.isNaN(left)) return "";
  if (left < MINUTE) return "now";
  if (left < HOUR) return ago.format(Math.floor(left / MINUTE), "minute");
  if (left < 2 * DAY) return ago.format(Math.floor(left / HOUR), "hour");
  if (left < 60 * DAY) return ago.format(Math.floor(left / DAY), "day");
  return date.format(Date.parse(at));
}

export function timeOfDay(at: string): string {
  return Number.isNaN(Date.parse(at)) ? "" : clock.format(Date.parse(at));
}

export function dateTime(at: string): string {
  return Number.isNaN(Date.parse(at)) ? "" : dateAndClock.format(Date.parse(at));
}

/** "0.8 s", "12 s", "3 min 5 s"; empty when either end is unknown. */
export function duration(from: string | undefined, to: string | undefined): string {
  const ms = Date.parse(to ?? "") - Date.parse(from ?? "");
  if (Number.isNaN(ms) || ms < 0) return "";
  if (ms < 10 * SECOND) return `${(ms / SECOND).toFixed(1)} s`;
  if (ms < MINUTE) return `${Math.round(ms / SECOND)} s`;
  return `${Math.floor(ms / MINUTE)} min ${Math.round((ms % MINUTE) / SECOND)} s`;
}

export function count(n: number, one: string, many = `${one}s`): string {
  return `${number.format(n)} ${n === 1 ? one : many}`;
}

export function size(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 * 1024) return `${(bytes / 1024).toFixed(1)} KB`;
  return `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}

/** Lines of a text as an editor counts them: a final line break ends a line, it does not begin another. */
export function lineCount(text: string): number {
  if (text === "") return 0;
  let lines = text.endsWith("\n") ? 0 : 1;
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) lines += 1;
  return lines;
}

export function initials(name: string): string {
  const words = name.trim().split(/\s+/);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : [words[0]];
  return (
    letters
      .map((word) => [...(word ?? "")][0] ?? "")
      .join("")
      .toUpperCase() || "?"
  );
}

/** A hue that stays the same for the same text. */
export function hue(text: string): number {
  let hash = 7;
  for (const char of text) hash = (hash * 31 + (char.codePointAt(0) ?? 0)) % 3600;
  return (hash * 137) % 360;
}
