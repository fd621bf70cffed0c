import { beforeEach, expect, it, vi } from "vitest";
import {
  forgetProjectToken,
  hasOtherToken,
  isGuest,
  keepToken,
  parseLink,
  signOut,
  takeTokenFromAddress,
  tokenFor,
} from "./access.ts";

let address: { pathname: string; search: string; hash: string };

beforeEach(() => {
  const stored = new Map<string, string>();
  vi.stubGlobal("localStorage", {
    getItem: (key: string) => stored.get(key) ?? null,
    setItem: (key: string, value: string) => stored.set(key, value),
    removeItem: (key: string) => stored.delete(key),
  });
  address = { pathname: "/", search: "", hash: "" };
  vi.stubGlobal("location", address);
  vi.stubGlobal("history", {
    state: null,
    replaceState: (_: unknown, __: string, url: string) => Object.assign(address, { hash: "", url }),
  });
});

function open(path: string, hash: string): boolean {
  Object.assign(address, { pathname: path, hash });
  return takeTokenFromAddress();
}

it("takes the owner's token out of the address and keeps it for everything", () => {
  expect(open("/", "#token=abc")).toBe(true);
  expect(address.hash).toBe("");
  expect([tokenFor(), tokenFor("p")]).toEqual(["abc", "abc"]);
});

it("keeps a share link's token for its project only, before the owner's", () => {
  open("/", "#token=abc");
  open("/p/todo", "#token=share_x");
  expect([tokenFor(), tokenFor("todo"), tokenFor("other")]).toEqual(["abc", "share_x", "abc"]);
  expect([isGuest("todo"), isGuest("other"), hasOtherToken("todo")]).toEqual([true, false, true]);
  forgetProjectToken("todo");
  expect(tokenFor("todo")).toBe("abc");
});

it("keeps another token met at a project for the server too, unless there is one", () => {
  open("/p/todo", "#token=a.b.c");
  expect([tokenFor(), tokenFor("todo")]).toEqual(["a.b.c", "a.b.c"]);
  open("/p/blog", "#token=d.e.f");
  expect([tokenFor(), tokenFor("todo"), tokenFor("blog")]).toEqual(["a.b.c", "a.b.c", "d.e.f"]);
});

it("signs out of what the project was opened by", () => {
  open("/", "#token=abc");
  open("/p/todo", "#token=share_x");
  signOut("todo");
  expect(tokenFor("todo")).toBe("abc");
  signOut("todo");
  expect(tokenFor()).toBeUndefined();
});

it("leaves other addresses alone", () => {
  for (const hash of ["", "#", "#top", "#token=", "#token=%20", "#token=ä", `#token=${"x".repeat(17_000)}`]) {
    expect(open("/", hash), hash).toBe(false);
    expect(tokenFor()).toBeUndefined();
  }
});

it("works where storage is forbidden", () => {
  vi.stubGlobal("localStorage", undefined);
  keepToken("abc", undefined);
  expect(tokenFor("p")).toBe("abc");
  signOut();
  expect(tokenFor("p")).toBeUndefined();
});

it("understands pasted links and tokens", () => {
  expect(parseLink(" http://10.0.0.1:3100/#token=abc ")).toEqual({ token: "abc" });
  expect(parseLink("https://a.b/p/todo#token=share_x")).toEqual({ token: "share_x", project: "todo" });
  expect(parseLink("a.b.c")).toEqual({ token: "a.b.c" });
  for (const text of ["", "two words", "http://a/p/todo#top"]) expect(parseLink(text), text).toBeUndefined();
});
