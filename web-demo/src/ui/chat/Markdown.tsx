// Markdown as React elements. The parser is marked; nothing is ever put into the page as HTML, so there is nothing to
// sanitise: tags in the text are shown as the text they are.

import { lexer, type Token, type Tokens } from "marked";
import { Fragment, memo, type ReactNode } from "react";
import "./markdown.css";

/** Addresses that may become a link. */
const SAFE_LINK = /^(https?:|mailto:)/i;

export const Markdown = memo(function Markdown({ text }: { text: string }) {
  return (
    <div className="markdown">
      {lexer(text).map((token, index) => (
        <Block key={index} token={token} />
      ))}
    </div>
  );
});

/** A block is drawn again only when its own source has changed: a long answer costs no more than its last paragraph. */
const Block = memo(
  function Block({ token }: { token: Token }) {
    return block(token);
  },
  (before, after) => before.token.raw === after.token.raw && before.token.type === after.token.type,
);

function block(token: Token): ReactNode {
  switch (token.type) {
    case "heading": {
      const Heading = (["h3", "h4", "h5"] as const)[Math.min((token as Tokens.Heading).depth, 3) - 1] ?? "h5";
      return <Heading>{inline(token.tokens)}</Heading>;
    }
    case "paragraph":
      return <p>{inline(token.tokens)}</p>;
    case "code":
      return (
        <pre>
          <code>{(token as Tokens.Code).text}</code>
        </pre>
      );
    case "blockquote":
      return <blockquote>{blocks(token.tokens)}</blockquote>;
    case "list":
      return list(token as Tokens.List);
    case "table":
      return table(token as Tokens.Table);
    case "hr":
      return <hr />;
    case "space":
    case "def":
      return null;
    case "text":
      return token.tokens ? inline(token.tokens) : plain(token);
    default:
      return <p>{token.raw}</p>;
  }
}

function blocks(tokens: Token[] | undefined): ReactNode {
  return tokens?.map((token, index) => <Fragment key={key(index)}>{block(token)}</Fragment>);
}

function list(token: Tokens.List): ReactNode {
  const items = token.items.map((item, index) => (
    <li key={key(index)} className={item.task ? "task" : undefined}>
      {item.task && <input type="checkbox" checked={item.checked ?? false} disabled readOnly />}
      {blocks(item.tokens)}
    </li>
  ));
  return token.ordered ? <ol start={token.start || 1}>{items}</ol> : <ul>{items}</ul>;
}

function table(token: Tokens.Table): ReactNode {
  return (
    <div className="markdown-table">
      <table>
        <thead>
          <tr>
            {token.header.map((cell, index) => (
              <th key={key(index)}>{inline(cell.tokens)}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {token.rows.map((row, index) => (
            <tr key={key(index)}>
              {row.map((cell, column) => (
                <td key={key(column)}>{inline(cell.tokens)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function inline(tokens: Token[] | undefined): ReactNode {
  return tokens?.map((token, index) => <Fragment key={key(index)}>{span(token)}</Fragment>);
}

function span(token: Token): ReactNode {
  switch (token.type) {
    case "strong":
      return <strong>{inline(token.tokens)}</strong>;
    case "em":
      return <em>{inline(token.tokens)}</em>;
    case "del":
      return <del>{inline(token.tokens)}</del>;
    case "codespan":
      return <code>{(token as Tokens.Codespan).text}</code>;
    case "br":
      return <br />;
    case "link": {
      const { href } = token as Tokens.Link;
      if (!SAFE_LINK.test(href)) return token.raw;
      return (
        <a href={href} target="_blank" rel="noreferrer noopener">
          {inline(token.tokens)}
        </a>
      );
    }
    // A picture would be fetched from wherever the text says.
    case "image":
      return (token as Tokens.Image).text || token.raw;
    case "checkbox":
      return null;
    case "text":
    case "escape":
      return token.type === "text" && token.tokens ? inline(token.tokens) : plain(token);
    default:
      return token.raw;
  }
}

const ENTITIES: { [entity: string]: string } = {
  "&amp;": "&",
  "&lt;": "<",
  "&gt;": ">",
  "&quot;": '"',
  "&#39;": "'",
  "&nbsp;": "\u00a0",
};

function plain(token: Token): string {
  const text = "text" in token && typeof token.text === "string" ? token.text : token.raw;
  return text.replace(/&(?:amp|lt|gt|quot|#39|nbsp);/g, (entity) => ENTITIES[entity] ?? entity);
}

function key(index: number): string {
  return `${index}`;
}
