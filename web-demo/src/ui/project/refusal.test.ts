import { expect, it } from "vitest";
import { refusalOf } from "./refusal.ts";

// The sentences are the server's own; the browser tests hear them from it.
it.each([
  [4501, "this server needs a token; open it by the link it printed at start", false, /not open/],
  [4501, "the token has expired", true, /time here is up/],
  [4501, "this share link has expired", true, /time here is up/],
  [4501, "this share link has been revoked", true, /does not count any more/],
  [4501, "the token is not valid yet", true, /not valid yet/],
  [4501, "the token's signature is not valid", true, /does not accept/],
  [4501, "", true, /does not accept/],
  [4503, "an owner has removed you from this project", true, /removed you/],
  [4503, "the token gives no access to this project", true, /not open to you/],
  [4504, "", true, /no such project/],
  [4505, "", true, /out of date/],
  [4999, "something new", true, /refused the connection/],
])("%i %s", (code, reason, hasToken, title) => {
  expect(refusalOf(code, reason, hasToken).title).toMatch(title);
});

it("shows the server's own sentence where it has none", () => {
  expect(refusalOf(4999, "something new", true).text).toBe("Something new.");
  expect(refusalOf(4501, "the token's signature is not valid", true).text).toBe(
    "The token's signature is not valid.",
  );
});

it("leaves on the screen what has only run out", () => {
  expect(refusalOf(4501, "the token has expired", true).keepsPage).toBe(true);
  expect(refusalOf(4503, "an owner has removed you from this project", true).keepsPage).toBeUndefined();
});
