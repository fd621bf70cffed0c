import "./models.css";

/** How a server that only has canned answers gets a model. */
export function ConnectModel() {
  return (
    <details className="connect-model" data-testid="connect-model">
      <summary>Connect a real model</summary>
      <p>
        Give the server a key in its environment, such as <code>ANTHROPIC_API_KEY</code> or{" "}
        <code>OPENAI_API_KEY</code>, or run Ollama beside it. Then restart it. All ways are in{" "}
        <code>docs/models.md</code>.
      </p>
    </details>
  );
}
