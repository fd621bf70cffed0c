// Puts Swagger UI and ReDoc, which show the server's OpenAPI document, into the build: their ready bundles, as their
// authors published them. Only the packages themselves are fetched – what they were bundled from is no use here –, by
// npm, and only with the content that is written down below. ReDoc is the last without telemetry.

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const TARGET = fileURLToPath(new URL("../dist/api-docs", import.meta.url));

/** Package, the hash of its archive, and the files wanted of it with their names here. */
const PACKAGES = [
  {
    name: "swagger-ui-dist@5.35.0",
    integrity:
      "sha512-U06rpMtW9V3XPGOBeamTUSr0Z09jMX4IJuANpE/EZbAhw0G8CgwrzU4YmXkn/h0wCDNsXdGarTNNHC3sU8yVUQ==",
    files: {
      "swagger-ui.css": "swagger-ui.css",
      "swagger-ui-bundle.js": "swagger-ui-bundle.js",
      LICENSE: "swagger-ui.LICENSE.txt",
    },
  },
  {
    name: "redoc@2.5.4",
    integrity:
      "sha512-M6jWhG1qoBnH6TFmzJnstyCZ87HmOY/UzDm78mHiYihEdlV/YcS9ogOo1NlElnJMeLsyxHFe2yFc4sNjHTrABQ==",
    files: {
      "bundles/redoc.standalone.js": "redoc.standalone.js",
      LICENSE: "redoc.LICENSE.txt",
    },
  },
];

/** The one address of somebody else's in ReDoc's bundle: its footer's logo. A page of this server asks nobody else. */
const FOREIGN_LOGO = "https://cdn.redoc.ly/redoc/logo-mini.svg";
const NO_LOGO = "data:image/svg+xml,%3Csvg xmlns=%22http://www.w3.org/2000/svg%22/%3E";

const run = promisify(execFile);
const scratch = await mkdtemp(join(tmpdir(), "cobuild-api-docs-"));
try {
  await mkdir(TARGET, { recursive: true });
  for (const { name, integrity, files } of PACKAGES) {
    const arguments_ = [
      "pack",
      name,
      "--silent",
      "--prefer-offline",
      "--ignore-scripts",
      "--pack-destination",
      scratch,
    ];
    const { stdout } = await run("npm", arguments_, { cwd: scratch });
    const archive = join(scratch, basename(stdout.trim().split("\n").at(-1)));
    const found = `sha512-${createHash("sha512")
      .update(await readFile(archive))
      .digest("base64")}`;
    if (found !== integrity) throw new Error(`${name} is not what it should be: ${found}`);
    const unpacked = join(scratch, name);
    await mkdir(unpacked);
    await run("tar", ["-xzf", archive, "-C", unpacked]);
    for (const [from, to] of Object.entries(files)) {
      await cp(join(unpacked, "package", from), join(TARGET, to));
    }
  }
  const redoc = join(TARGET, "redoc.standalone.js");
  const [before, ...after] = (await readFile(redoc, "utf8")).split(FOREIGN_LOGO);
  if (after.length !== 1) throw new Error("ReDoc's logo is not where it was");
  await writeFile(redoc, before + NO_LOGO + after[0]);
} finally {
  await rm(scratch, { recursive: true, force: true });
}
