// Puts a .br and a .gz next to each text file of the build, so that the server never compresses anything itself.

import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { extname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";

const DIST = fileURLToPath(new URL("../dist", import.meta.url));
const TEXT = new Set([".html", ".js", ".css", ".svg", ".json", ".txt", ".webmanifest"]);
/** Below this a compressed copy saves less than the header that announces it. */
const SIZE_BYTES_MIN = 512;

const entries = await readdir(DIST, { recursive: true });
let total = 0;
for (const file of entries.map((entry) => join(DIST, entry))) {
  if (!TEXT.has(extname(file)) || !(await stat(file)).isFile()) continue;
  const content = await readFile(file);
  if (content.length < SIZE_BYTES_MIN) continue;
  const [br, gz] = await Promise.all([
    promisify(brotliCompress)(content, {
      params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: content.length },
    }),
    promisify(gzip)(content, { level: 9 }),
  ]);
  await Promise.all([writeFile(`${file}.br`, br), writeFile(`${file}.gz`, gz)]);
  total += 1;
  console.log(`${relative(DIST, file)}  ${content.length} → gz ${gz.length}, br ${br.length}`);
}
console.log(`compressed ${total} files`);
