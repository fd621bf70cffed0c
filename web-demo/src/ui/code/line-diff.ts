// The difference of two texts, line by line, as pieces to lay beside each other.

export type Piece =
  | { type: "same"; lines: string[] }
  /** `left` stands where the other text has `right`; either may be empty. */
  | { type: "change"; left: string[]; right: string[] };

/** Above this many pairs of lines the search for what is common costs too much; then all of the middle has changed. */
const PAIRS_MAX = 4_000_000;

export function lineDiff(left: string, right: string): Piece[] {
  const [a, b] = [left.split("\n"), right.split("\n")];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end])
    end += 1;
  const pieces = new Pieces();
  pieces.same(a.slice(0, start));
  middle(a.slice(start, a.length - end), b.slice(start, b.length - end), pieces);
  pieces.same(a.slice(a.length - end));
  return pieces.all;
}

/** The text that the choices make: of each change, in order, what is to stand there. */
export function mix(pieces: Piece[], choices: Choice[]): string {
  let change = 0;
  return pieces
    .flatMap((piece) => {
      if (piece.type === "same") return piece.lines;
      const choice = choices[change++] ?? "left";
      if (choice === "both") return [...piece.left, ...piece.right];
      return choice === "left" ? piece.left : piece.right;
    })
    .join("\n");
}

export type Choice = "left" | "right" | "both";

class Pieces {
  readonly all: Piece[] = [];

  same(lines: string[]): void {
    const last = this.all.at(-1);
    if (last?.type === "same") last.lines.push(...lines);
    else if (lines.length > 0) this.all.push({ type: "same", lines });
  }

  change(left: string[], right: string[]): void {
    const last = this.all.at(-1);
    if (last?.type === "change") {
      last.left.push(...left);
      last.right.push(...right);
    } else if (left.length + right.length > 0) {
      this.all.push({ type: "change", left, right });
    }
  }
}

/** By the longest common subsequence of lines. */
function middle(a: string[], b: string[], pieces: Pieces): void {
  if (a.length * b.length > PAIRS_MAX || a.length === 0 || b.length === 0) return pieces.change(a, b);
  const width = b.length + 1;
  const common = new Uint32Array((a.length + 1) * width);
  const at = (i: number, j: number) => common[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      common[i * width + j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  let [i, j] = [0, 0];
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) {
      pieces.same([a[i] ?? ""]);
      i += 1;
      j += 1;
    } else if (at(i + 1, j) >= at(i, j + 1)) {
      pieces.change([a[i] ?? ""], []);
      i += 1;
    } else {
      pieces.change([], [b[j] ?? ""]);
      j += 1;
    }
  }
  pieces.change(a.slice(i), b.slice(j));
}
