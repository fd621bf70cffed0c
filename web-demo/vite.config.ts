import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

/** Where `cobuild serve` listens unless told otherwise. */
const SERVER = "http://127.0.0.1:3100";

export default defineConfig({
  plugins: [react()],
  // From its source: the page needs no build of the package before its own.
  resolve: { alias: { "@cobuild/client": fileURLToPath(new URL("client/src/index.ts", import.meta.url)) } },
  server: {
    proxy: { "/api": { target: process.env.COBUILD_SERVER ?? SERVER, changeOrigin: true, ws: true } },
  },
  build: {
    target: "es2022",
    // Fonts and icons stay files of their own: the browser caches them, and a strict content policy allows them.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
