// What the fake server answers with: a small app, an edit of it, and a picture of it running.

export const TEMPLATE = {
  "index.html":
    '<!doctype html>\n<html lang="en">\n  <head>\n    <meta charset="utf-8" />\n    <title>App</title>\n  </head>\n  <body>\n    <div id="root"></div>\n    <script type="module" src="/src/main.jsx"></script>\n  </body>\n</html>\n',
  "package.json":
    '{\n  "name": "app",\n  "private": true,\n  "type": "module",\n  "scripts": {\n    "dev": "vite",\n    "build": "vite build"\n  },\n  "dependencies": {\n    "react": "^19.3.1",\n    "react-dom": "^19.3.1"\n  }\n}\n',
  "vite.config.js":
    'import react from "@vitejs/plugin-react";\nimport { defineConfig } from "vite";\n\n// The preview is served by the sandbox.\nexport default defineConfig({ plugins: [react()] });\n',
  "src/main.jsx":
    'import { createRoot } from "react-dom/client";\nimport App from "./App.jsx";\nimport "./index.css";\n\ncreateRoot(document.getElementById("root")).render(<App />);\n',
  "src/App.jsx": "export default function App() {\n  return <h1>Hello</h1>;\n}\n",
  "src/index.css": '@import "tailwindcss";\n',
};

const css = `@import "tailwindcss";

body {
  font-family: ui-sans-serif, system-ui, sans-serif;
  background: #f6f5f2;
}
`;

const app = `import { useState } from "react";
import confetti from "canvas-confetti";
import TodoItem from "./components/TodoItem.jsx";

const FIRST = [
  { id: 1, text: "Water the plants", done: true },
  { id: 2, text: "Write to Grace", done: false },
  { id: 3, text: "Book the train", done: false },
];

/** A list of things to do, and how many are left. */
export default function App() {
  const [todos, setTodos] = useState(FIRST);
  const [text, setText] = useState("");
  const left = todos.filter((todo) => !todo.done).length;

  function add(event) {
    event.preventDefault();
    if (text.trim() === "") return;
    setTodos([...todos, { id: Date.now(), text: text.trim(), done: false }]);
    setText("");
  }

  function toggle(id) {
    setTodos(todos.map((todo) => (todo.id === id ? { ...todo, done: !todo.done } : todo)));
    if (left === 1) confetti();
  }

  return (
    <main className="mx-auto max-w-md p-8">
      <h1 className="text-3xl font-semibold tracking-tight">Todo</h1>
      <p className="mt-1 text-stone-500">{left} left to do</p>
      <form onSubmit={add} className="mt-6 flex gap-2">
        <input value={text} onChange={(event) => setText(event.target.value)} placeholder="What is next?" />
        <button type="submit">Add</button>
      </form>
      <ul className="mt-4 divide-y">
        {todos.map((todo) => (
          <TodoItem key={todo.id} todo={todo} onToggle={() => toggle(todo.id)} />
        ))}
      </ul>
    </main>
  );
}
`;

const item = `export default function TodoItem({ todo, onToggle }) {
  return (
    <li className="flex items-center gap-3 py-3">
      <input type="checkbox" checked={todo.done} onChange={onToggle} />
      <span className={todo.done ? "text-stone-400 line-through" : ""}>{todo.text}</span>
    </li>
  );
}
`;

export const APP = {
  packages: ["canvas-confetti"],
  parts: [
    {
      text: "Here is a **todo list**. You can add entries, tick them off, and it keeps count of what is left.\n\n- New entries go to the end\n- The last one you finish rains confetti, from `canvas-confetti`\n\n",
    },
    { path: "src/index.css", action: "replace", content: css },
    { path: "src/App.jsx", action: "replace", content: app },
    { path: "src/components/TodoItem.jsx", action: "create", content: item },
    { text: "\nTry it in the preview. Next you could ask for *“make it dark”* or *“add a clear button”*." },
  ],
};

const search = `      <h1 className="text-3xl font-semibold tracking-tight">Todo</h1>`;
const replace = `      <h1 className="text-3xl font-semibold tracking-tight">Shopping</h1>`;

export const EDIT = {
  packages: [],
  parts: [
    { text: "I have changed the title.\n\n" },
    {
      path: "src/App.jsx",
      action: "edit",
      content: `<<<<<<< SEARCH\n${search}\n=======\n${replace}\n>>>>>>> REPLACE\n`,
      result: app.replace(search, replace),
    },
    { text: "\nThe preview has reloaded already." },
  ],
};

export const PREVIEW = `<!doctype html><meta charset="utf-8"><title>Todo</title><style>
body{margin:0;font:16px/1.5 ui-sans-serif,system-ui,sans-serif;background:#f6f5f2;color:#1c1917}
main{max-width:448px;margin:0 auto;padding:48px 32px}h1{margin:0;font-size:30px;letter-spacing:-.02em}
p{margin:2px 0 24px;color:#78716c}form{display:flex;gap:8px}input[type=text]{flex:1;padding:9px 12px;border:1px solid #d6d3d1;border-radius:8px;font:inherit}
button{padding:9px 16px;border:0;border-radius:8px;background:#1c1917;color:#fff;font:inherit}
ul{list-style:none;padding:0}li{display:flex;gap:12px;padding:12px 0;border-bottom:1px solid #e7e5e4}.d{color:#a8a29e;text-decoration:line-through}
</style><main><h1>Todo</h1><p>2 left to do</p><form onsubmit="return false"><input type="text" placeholder="What is next?"><button>Add</button></form>
<ul><li><input type="checkbox" checked><span class="d">Water the plants</span></li><li><input type="checkbox"><span>Write to Grace</span></li>
<li><input type="checkbox"><span>Book the train</span></li></ul></main>`;

/** 300 KB of code, to see whether the page keeps up. */
export const FLOOD = {
  packages: [],
  parts: [
    { text: "A lot of code.\n\n" },
    {
      path: "src/long.js",
      action: "create",
      content: Array.from(
        { length: 6_000 },
        (_, n) => `export const value${n} = compute(${n}, "text ${n}"); // line ${n}`,
      ).join("\n"),
    },
  ],
};
