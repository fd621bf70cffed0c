// Who gets in, by what, as what, and until when: owner links, share links, tokens.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { TestServer } from "./server.mjs";
import { launch, until, Visitor } from "./visitor.mjs";

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

describe("a server that listens beyond this machine", () => {
  let server;
  let owner;
  let guest;
  let guestLink;

  before(async () => {
    server = await TestServer.start({ args: ["--host", "0.0.0.0"] });
  });
  after(() => server?.stop());

  test("says to whoever has no link that one is needed, and takes one", async () => {
    const stranger = await Visitor.arrive(browser, server.url);
    await stranger.see("closed").getByText("This server is not open to everybody").waitFor();
    await stranger.screenshot("20-closed");
    await stranger.see("link-input").fill("no link at all");
    await stranger.see("link-open").click();
    await stranger.page.getByText("That is no link with a token in it").waitFor();
    await stranger.see("link-input").fill(await server.ownerLink());
    await stranger.see("link-open").click();
    await stranger.see("new-project").waitFor();
    await stranger.leave();
  });

  test("says that a token is wrong", async () => {
    const wrong = await Visitor.arrive(browser, `${server.url}/#token=not-the-one`);
    await wrong.see("closed").getByText("does not accept your link").waitFor();
    await wrong.leave();
    const inProject = await Visitor.arrive(browser, `${server.url}/p/any#token=share_nothing`);
    await inProject.page.locator('[data-testid="refused"][data-code="4501"]').waitFor();
    await inProject.screenshot("21-refused-link");
    await inProject.leave();
  });

  test("lets its owner in by the printed link, which leaves the address at once", async () => {
    owner = await Visitor.arrive(browser, await server.ownerLink());
    await owner.see("new-project").waitFor();
    assert.ok(!owner.page.url().includes("token"), owner.page.url());
    await owner.prompt("A counter");
    await until("the project has an address of its own", () => owner.project);
    await owner.isConnected();
    await owner.runEnds(1);
    await owner.page.reload();
    await owner.isConnected();
    await owner.see("message").first().waitFor();
  });

  test("shows the token for a download too", async () => {
    const saving = owner.page.waitForEvent("download");
    await owner.see("export").click();
    const download = await saving;
    assert.equal(download.suggestedFilename(), `${owner.project}.zip`);
    const start = (await readFile(await download.path())).subarray(0, 2);
    assert.equal(String(start), "PK", "it is an archive");
  });

  test("makes a share link, and whoever comes by it may look and not touch", async () => {
    await owner.see("share").click();
    await owner.see("share-label").fill("for Grace");
    await owner.see("share-make").click();
    await owner.see("share-url").waitFor();
    guestLink = await owner.see("share-url").inputValue();
    await owner.see("share-links").getByText("for Grace").waitFor();
    await owner.stillness();
    await owner.screenshot("22-share");

    guest = await Visitor.arrive(browser, guestLink);
    await guest.isConnected();
    assert.ok(!guest.page.url().includes("token"), guest.page.url());
    await guest.page.getByText("Viewing").waitFor();
    await guest.see("message").first().waitFor();
    assert.ok(await guest.see("prompt-input").isDisabled());
    await guest.see("tab-code").click();
    await guest.see("code-view").waitFor();
    for (const button of ["edit", "lock", "stop"]) assert.equal(await guest.see(button).count(), 0, button);
    await guest.screenshot("23-viewer");
    await guest.see("share").click();
    await guest.see("share-dialog").getByText("Only an owner can create links").waitFor();
    await guest.shutMenu();
    await guest.see("history").click();
    await guest.see("point").first().waitFor();
    await guest.see("point").last().click();
    assert.ok(await guest.see("restore").isDisabled());
    await guest.shutMenu();
  });

  test("sends a guest away as soon as the link is revoked, and says why", async () => {
    guest.serverIsAway = true;
    const began = Date.now();
    await owner.see("share-revoke").click();
    await guest.page.locator('[data-testid="refused"][data-code="4501"]').waitFor();
    console.log(`the guest's page knew after ${Date.now() - began} ms`);
    await guest.see("refused").getByText("Your link does not count any more").waitFor();
    await guest.screenshot("24-revoked");
    await owner.see("share-dialog").getByText("There are no links yet").waitFor();
    await guest.page.reload();
    await guest.see("refused").getByText("Your link does not count any more").waitFor();
    await guest.leave();
  });

  test("forgets what it was opened by when asked to", async () => {
    await owner.shutMenu();
    await owner.see("people").click();
    await owner.see("sign-out").click();
    await owner.see("refused").getByText("not open to everybody").waitFor();
    await owner.leave();
  });
});

describe("a server that asks for signed tokens", () => {
  const secret = "0123456789abcdef0123456789abcdef";
  let server;
  before(async () => {
    server = await TestServer.start({ env: { JWT_SECRET: secret } });
  });
  after(() => server?.stop());

  function token(projects, seconds, subject = "ada") {
    const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const exp = Math.floor(Date.now() / 1000) + seconds;
    const body = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: subject, name: "Ada", exp, projects })}`;
    return `${body}.${createHmac("sha256", secret).update(body).digest("base64url")}`;
  }

  test("tells an expired token from one for another project", async () => {
    for (const [shown, code, sentence] of [
      [token({ "*": "owner" }, -3_600), 4501, "Your time here is up"],
      [token({ other: "owner" }, 3_600), 4503, "This project is not open to you"],
      ["a.b.c", 4501, "does not accept your link"],
      [token({ "*": "owner" }, 3_600), 4504, "There is no such project"],
    ]) {
      const visitor = await Visitor.arrive(browser, `${server.url}/p/mine#token=${shown}`);
      await visitor.page.locator(`[data-testid="refused"][data-code="${code}"]`).waitFor();
      await visitor.see("refused").getByText(sentence).waitFor();
      await visitor.leave();
    }
  });

  test("leaves the page as it is when a token runs out, and goes on with another", async () => {
    // Open connections outlive their token by ten seconds.
    const ada = await Visitor.arrive(browser, `${server.url}/#token=${token({ "*": "owner" }, 15)}`);
    await ada.see("new-project").click();
    await until("the project has an address of its own", () => ada.project);
    await ada.isConnected();
    ada.serverIsAway = true;
    await ada.see("refused-bar").getByText("Your time here is up").waitFor();
    await ada.see("chat-welcome").waitFor();
    await ada.screenshot("25-expired");
    await ada.see("link-input").fill(token({ "*": "owner" }, 3_600));
    await ada.see("link-open").click();
    await ada.isConnected();
    await ada.see("refused-bar").waitFor({ state: "detached" });
    await ada.leave();
  });

  test("keeps the name a token gives", async () => {
    const ada = await Visitor.arrive(browser, `${server.url}/#token=${token({ "*": "owner" }, 3_600, "x")}`);
    await ada.see("new-project").click();
    await ada.isConnected();
    await ada.see("people").click();
    await ada.see("my-name").fill("Grace");
    await ada.see("my-name").press("Enter");
    await ada.see("toast").getByText("Your name stays Ada").waitFor();
    await ada.leave();
  });
});
