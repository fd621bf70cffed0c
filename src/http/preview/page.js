// Runs before anything else in every page of a preview, and tells the server what goes wrong in it: what the app throws,
// and what the dev server's overlay says. The server takes all of it for what it is, the word of a page.
(() => {
  "use strict";
  /** Longest text that is sent of one error, in characters; the server keeps less. */
  const MESSAGE_LENGTH_MAX = 2_000;
  const STACK_LENGTH_MAX = 4_000;
  /** Errors that one version of the app reports: what it throws on every tick is said once, and not without end. */
  const REPORTS_MAX = 10;
  /** How long nothing must have happened before the page counts as at rest: an update's effects have run by then. */
  const QUIET_MS = 250;
  /** A script that is not there may come back with the page: the dev server loads it anew after bundling. */
  const LOAD_PATIENCE_MS = 1_500;
  const RECONNECT_MS_MIN = 1_000;
  const RECONNECT_MS_MAX = 30_000;
  /** The server wants no more of this page (RFC 6455, section 7.4.1). */
  const REFUSED = 1008;

  const address = `${location.origin.replace(/^http/, "ws")}/__cobuild/page`;
  const { WebSocket, setTimeout, JSON } = window;
  const now = () => performance.now();

  let socket;
  let reconnectMs = RECONNECT_MS_MIN;
  let reports = [];
  let said = new Set();
  let updating = false;
  // A module that threw when it began has left nothing behind that takes its next version: the page has to be loaded anew.
  let torn = false;
  let loading = 0;
  let changedAt = now();
  let question = 0;

  // The dev server's client takes one message after the other. Told in the middle of an update to load the page anew, as it
  // is when packages were bundled anew, it would first show what the update brings: parts of two bundles, with two Reacts
  // of which each knows nothing of the other's hooks. So the page goes at once.
  window.WebSocket = new Proxy(WebSocket, {
    construct(Base, [url, protocol, ...others], Self) {
      const made = Reflect.construct(Base, [url, protocol, ...others], Self);
      if (protocol === "vite-hmr") {
        made.addEventListener("message", ({ data }) => {
          if (updating && isFullReload(data)) location.reload();
        });
      }
      return made;
    },
  });

  /** Whether this message of the dev server is for every page: one for a certain page is left to the client. */
  function isFullReload(data) {
    try {
      const { type, path = "*", ifFallback } = JSON.parse(data);
      return type === "full-reload" && path === "*" && !ifFallback;
    } catch {
      return false;
    }
  }

  const send = (message) => socket?.readyState === WebSocket.OPEN && socket.send(JSON.stringify(message));

  function report(message, { stack, file } = {}) {
    const error = {
      type: "threw",
      message: message.slice(0, MESSAGE_LENGTH_MAX),
      stack: stack?.slice(0, STACK_LENGTH_MAX),
      file,
    };
    if (said.has(error.message) || reports.length >= REPORTS_MAX) return;
    said.add(error.message);
    reports.push(error);
    send(error);
  }

  /** The app is another from here on. */
  function renewed() {
    reports = [];
    said = new Set();
    changedAt = now();
    send({ type: "renewed" });
  }

  function connect() {
    try {
      socket = new WebSocket(address);
    } catch {
      return; // The app's policy forbids it.
    }
    socket.onopen = () => {
      reconnectMs = RECONNECT_MS_MIN;
      send({ type: "hidden", hidden: document.hidden });
      send({ type: "renewed" });
      reports.forEach(send);
    };
    socket.onmessage = ({ data }) => {
      const asked = JSON.parse(data);
      question = asked.question;
      if (asked.reload) location.reload();
      else answer(question, now());
    };
    socket.onclose = ({ code }) => {
      if (code !== REFUSED) setTimeout(connect, reconnectMs * (1 + Math.random()));
      reconnectMs = Math.min(reconnectMs * 2, RECONNECT_MS_MAX);
    };
  }

  /** Says so when the page has come to rest, unless another question has come meanwhile. */
  function answer(asked, askedAt) {
    if (asked !== question) return;
    const quiet = now() - Math.max(changedAt, askedAt) >= QUIET_MS;
    if (quiet && !updating && loading === 0 && document.readyState === "complete") {
      send({ type: "settled", question: asked });
    } else {
      setTimeout(answer, 50, asked, askedAt);
    }
  }

  /** What was thrown, in words. It may be anything, and may throw again when it is looked at. */
  function thrown(prefix, value) {
    try {
      if (value instanceof Error || typeof value?.stack === "string") {
        const isInWords = typeof value.message === "string" && value.message !== "";
        const words = isInWords ? `${value.name}: ${value.message}` : String(value);
        const stack = String(value.stack);
        // The dev server's own client complains about a server that is away; that is not the app.
        if (stack.split("\n").find((line) => line.includes("://"))?.includes("/@vite/")) return;
        report(`${prefix}${words}`, { stack });
      } else {
        report(`${prefix}${typeof value === "object" ? JSON.stringify(value) : String(value)}`);
      }
    } catch {
      report(`${prefix}a value that cannot be shown`);
    }
  }

  /** A script of the app's own that could not be loaded: nothing of it runs. */
  function unloaded(element) {
    const source = element instanceof HTMLScriptElement ? element.src : "";
    if (!source.startsWith(`${location.origin}/`)) return;
    loading += 1;
    setTimeout(() => {
      loading -= 1;
      const { pathname } = new URL(source);
      report(`The page could not load ${pathname}`, { file: pathname });
    }, LOAD_PATIENCE_MS);
  }

  addEventListener(
    "error",
    (event) => {
      if (!(event instanceof ErrorEvent)) return unloaded(event.target);
      // Not an error, but how browsers say that a layout takes another round; and what they say of scripts elsewhere.
      if (/^ResizeObserver loop|^Script error\.?$/.test(event.message)) return;
      torn ||= document.readyState !== "complete";
      if (event.error === null || event.error === undefined) report(event.message);
      else thrown("", event.error);
    },
    true,
  );
  addEventListener("unhandledrejection", (event) => thrown("Unhandled rejection: ", event.reason));
  document.addEventListener("visibilitychange", () => send({ type: "hidden", hidden: document.hidden }));

  // A new version of a module that throws when it begins is no uncaught error: the dev server's client says so here only,
  // and the page goes on with the old one.
  const { console } = window;
  const { error: shout } = console;
  console.error = (...words) => {
    shout.apply(console, words);
    if (words[0] === "[vite]" && words[1] instanceof Error) {
      torn = true;
      thrown("", words[1]);
    }
  };

  /** Updates and overlays, as the dev server's client tells them to modules. Its own module is asked, not another. */
  async function listen() {
    const scripts = [...document.querySelectorAll('script[type="module"][src]')];
    const client = scripts.find(({ src }) => new URL(src).pathname.endsWith("/@vite/client"));
    if (!client) return;
    const { createHotContext } = await import(client.src);
    const hot = createHotContext("/__cobuild/page.js");
    let wasTorn = false;
    hot.on("vite:beforeUpdate", () => {
      [wasTorn, torn] = [torn, false];
      updating = true;
      renewed();
    });
    hot.on("vite:afterUpdate", () => {
      updating = false;
      changedAt = now();
      if (wasTorn) location.reload();
    });
    hot.on("vite:beforeFullReload", () => {
      changedAt = now();
    });
    hot.on("vite:error", ({ err }) => {
      updating = false;
      const { message = "", frame, id } = err ?? {};
      const words = frame && !message.includes(frame.trim()) ? `${message}\n${frame}` : message;
      report(words || "The dev server shows an error", { file: id });
    });
  }
  document.addEventListener("DOMContentLoaded", () => listen().catch(() => {}));

  connect();
})();
