import { renderToStaticMarkup } from "react-dom/server";
import { expect, it } from "vitest";
import { Markdown } from "./Markdown.tsx";

const html = (text: string) =>
  renderToStaticMarkup(<Markdown text={text} />)
    .replace(/^<div class="markdown">/, "")
    .replace(/<\/div>$/, "");

it("draws what people and models write", () => {
  expect(html("A **bold** *word* and `code`")).toBe(
    "<p>A <strong>bold</strong> <em>word</em> and <code>code</code></p>",
  );
  expect(html("- a\n- b")).toBe("<ul><li>a</li><li>b</li></ul>");
  expect(html("3. a")).toBe('<ol start="3"><li>a</li></ol>');
  expect(html("# T\n\n> q")).toBe("<h3>T</h3><blockquote><p>q</p></blockquote>");
  expect(html("```js\na < b\n```")).toBe("<pre><code>a &lt; b</code></pre>");
  expect(html("a &amp; b &lt;c&gt;")).toBe("<p>a &amp; b &lt;c&gt;</p>");
  expect(html("- [x] done")).toContain('type="checkbox"');
  expect(html("[here](https://example.org/?a=1)")).toContain('href="https://example.org/?a=1"');
});

it("never becomes anything else than text and its own elements", () => {
  const attacks = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "a <b onclick=alert(1)>b</b> c",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](data:text/html,<script>alert(1)</script>)",
    "![x](https://example.org/spy.png)",
    "<a href='javascript:alert(1)'>x</a>",
    "| <script>alert(1)</script> |\n| - |\n| <img src=x> |",
    "[x]: javascript:alert(1)\n\n[x]",
    "`</code><script>alert(1)</script>`",
    "```\n</code></pre><script>alert(1)</script>\n```",
  ];
  for (const attack of attacks) {
    const out = html(attack);
    expect(out, attack).not.toMatch(/<(script|img|iframe|svg|b|object|style)[\s>]/i);
    expect(out, attack).not.toMatch(/href="(?!https?:|mailto:)/i);
    expect(out, attack).not.toMatch(/<[^>]* on\w+=/i);
  }
});

it("can be looked at while it is typed", () => {
  const text =
    "# A\n\n**b** [l](https://x.y)\n\n- c\n  - d\n\n| e | f |\n|---|---|\n| 1 | 2 |\n\n```js\nx\n```\n";
  for (let length = 0; length <= text.length; length += 1) html(text.slice(0, length));
});
