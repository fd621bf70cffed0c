export interface Directory {
  name: string;
  path: string;
  directories: Directory[];
  files: { name: string; path: string }[];
}

/** The directories above the files, each with what is in it in the order an editor shows it. */
export function buildTree(paths: Iterable<string>): Directory {
  const root: Directory = { name: "", path: "", directories: [], files: [] };
  for (const path of [...new Set(paths)].sort((a, b) => a.localeCompare(b))) {
    const names = path.split("/");
    const name = names.pop() ?? path;
    const directory = names.reduce(descend, root);
    directory.files.push({ name, path });
  }
  return root;
}

function descend(parent: Directory, name: string): Directory {
  const known = parent.directories.find((directory) => directory.name === name);
  if (known) return known;
  const path = parent.path === "" ? name : `${parent.path}/${name}`;
  const made: Directory = { name, path, directories: [], files: [] };
  parent.directories.push(made);
  parent.directories.sort((a, b) => a.name.localeCompare(b.name));
  return made;
}

/** The file somebody most likely wants to see first. */
export function entryFile(paths: string[]): string | undefined {
  const likely = ["src/App.jsx", "src/App.tsx", "src/main.jsx", "src/main.tsx", "index.html", "README.md"];
  return likely.find((path) => paths.includes(path)) ?? paths.toSorted()[0];
}
