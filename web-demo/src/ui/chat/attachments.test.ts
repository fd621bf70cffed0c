import { expect, it } from "vitest";
import { attach, encodedSize, pageAddress } from "./attachments.ts";

it("encodes a picture as the protocol wants it", async () => {
  const bytes = new Uint8Array(20_000).fill(255);
  const attached = await attach(new File([bytes], "a.png", { type: "image/png" }), 100_000);
  expect(attached.image.media_type).toBe("image/png");
  expect(Buffer.from(attached.image.data, "base64")).toEqual(Buffer.from(bytes));
  expect(encodedSize([attached])).toBeGreaterThan(26_000);
});

it("takes pictures only", async () => {
  const file = new File(["<svg onload=alert(1)>"], "a.svg", { type: "image/svg+xml" });
  await expect(attach(file, 100_000)).rejects.toThrow("no PNG");
});

it("knows the address of a page when it sees one", () => {
  expect(pageAddress("example.com/pricing")).toBe("https://example.com/pricing");
  expect(pageAddress(" http://example.com ")).toBe("http://example.com/");
  for (const text of ["", "not a page", "javascript:alert(1)", "file:///etc/passwd", "localhost"])
    expect(pageAddress(text), text).toBeUndefined();
});
