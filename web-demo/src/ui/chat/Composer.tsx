import { useEffect, useState } from "react";
import { size } from "../format.ts";
import { ModelTag } from "../parts/ModelTag.tsx";
import { PromptBox } from "../parts/PromptBox.tsx";
import { reasonOf } from "../project/Refused.tsx";
import { useRoom, useView } from "../room.ts";
import { activeRun } from "../select.ts";
import { draft } from "./draft.ts";

const encoder = new TextEncoder();

/** Where the next prompt is written, with what must be said about the model that will answer. */
export function Composer() {
  const room = useRoom();
  const [text, setText] = useState("");
  const model = useView((view) => view.welcome?.default_model);
  const limit = useView((view) => view.welcome?.limits.prompt_size_bytes_max);
  const isViewer = useView((view) => view.welcome?.role === "viewer");
  const running = useView((view) => activeRun(view.state)?.run);
  const connection = useView((view) => view.connection);
  const isFresh = useView((view) => view.state.messages.length === 0);

  // Somebody elsewhere on the page proposes what to say.
  useEffect(() => {
    const take = () => {
      const proposed = draft.get();
      if (proposed === "") return;
      setText(proposed);
      draft.set("");
    };
    take();
    return draft.subscribe(take);
  }, []);

  const tooLarge = limit !== undefined && text.length * 3 > limit && encoder.encode(text).length > limit;

  async function send() {
    const prompt = text.trim();
    setText("");
    const accepted = await room.prompt(prompt);
    // What was refused comes back, unless something else has been written meanwhile.
    if (!accepted) setText((current) => current || prompt);
  }

  return (
    <div className="composer">
      {connection.phase === "refused" && (
        <p className="composer-error" role="alert">
          {reasonOf(connection).join(". ")}
        </p>
      )}
      {tooLarge && limit !== undefined && (
        <p className="composer-error" role="alert">
          A prompt has at most {size(limit)}.
        </p>
      )}
      <PromptBox
        autoFocus
        value={text}
        onChange={setText}
        onSend={() => void send()}
        onStop={running === undefined || isViewer ? undefined : () => room.cancel(running)}
        disabled={isViewer || connection.phase === "refused"}
        blocked={tooLarge}
        placeholder={placeholder(isViewer, running !== undefined, isFresh)}
        footer={<ModelTag model={model} />}
      />
    </div>
  );
}

function placeholder(isViewer: boolean, isRunning: boolean, isFresh: boolean): string {
  if (isViewer) return "You are watching. Ask the owner for the right to write.";
  if (isRunning) return "What next? It waits until this is done…";
  return isFresh ? "What do you want to build?" : "What should change?";
}
