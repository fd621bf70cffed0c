import { expect, it } from "vitest";
import { promptFor, titleOf, wordsOf } from "./preview-error.ts";

const FRAME = `[PARSE_ERROR] Unexpected token
    ╭─[ src/App.jsx:21:43 ]
    │
 21 │ export default function App() { const x = ;
    │                                           ┬
    │                                           ╰──
────╯`;
const overlay = {
  message: `Transform failed with 1 error:

${FRAME}

    at transformWithOxc (file:///app/node_modules/vite/dist/node/chunks/node.js:1:1)
You can also disable this overlay by setting server.hmr.overlay to false in`,
  file: "src/App.jsx",
  source: "page" as const,
};

it("does not say that an app has thrown what was never compiled, whoever tells", () => {
  expect(titleOf(overlay)).toBe("The app does not compile: src/App.jsx");
  expect(titleOf({ message: "x is not a function", source: "page" })).toBe("The app has thrown an error");
  expect(titleOf({ message: "no answer" })).toBe("The preview shows an error");
});

it("keeps the code frame whole, and nothing of the overlay's own", () => {
  expect(wordsOf(overlay)).toBe(FRAME);
  expect(wordsOf({ message: "x is not a function\n    at App (src/App.jsx:3:1)" })).toContain("at App");
});

it("quotes the error in a prompt without the frame's lines", () => {
  expect(promptFor(overlay)).toBe(`Fix this error in src/App.jsx:
[PARSE_ERROR] Unexpected token
[ src/App.jsx:21:43 ]
21 export default function App() { const x = ;`);
});
