import { useEffect, useState } from "react";
import type { Delivery } from "../../protocol.ts";
import { size } from "../format.ts";
import { ModelPicker } from "../models/ModelPicker.tsx";
import { PromptBox } from "../parts/PromptBox.tsx";
import { Segments } from "../parts/Segments.tsx";
import { useCanEdit, useRoom, useView } from "../room.ts";
import { activeRun } from "../select.ts";
import { draft } from "./draft.ts";
import { ExtrasMenu, ExtrasShown, NO_EXTRAS, useAddImages } from "./Extras.tsx";
import { UsageMenu } from "./UsageMenu.tsx";

const encoder = new TextEncoder();
/** Nothing typed for this long: one is no longer writing. */
const TYPING_MS = 4_000;

const DELIVERIES: { value: Delivery; label: string; title: string }[] = [
  { value: "queue", label: "Next", title: "When what runs now is done" },
  { value: "steer", label: "Add to this", title: "Taken up by the answer under way, where that is possible" },
  { value: "interrupt", label: "Instead", title: "Stops what runs now and comes first" },
];

/** Where the next prompt is written, with what must be said about the model that will answer. */
export function Composer() {
  const room = useRoom();
  const [text, setText] = useState("");
  const model = useView((view) => view.welcome?.default_model);
  const limit = useView((view) => view.welcome?.limits.prompt_size_bytes_max);
  const isViewer = useView((view) => view.role === "viewer");
  const canEdit = useCanEdit();
  const running = useView((view) => activeRun(view.state)?.run);
  const mayInterrupt = useView((view) => {
    const run = activeRun(view.state);
    return view.role === "owner" || (run?.by !== undefined && run.by === view.welcome?.participant);
  });
  const [delivery, setDelivery] = useState<Delivery>("queue");
  const [extras, setExtras] = useState(NO_EXTRAS);
  const addImages = useAddImages({ extras, onChange: setExtras });
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

  // What was chosen was chosen for the run of that moment.
  // biome-ignore lint/correctness/useExhaustiveDependencies: another run
  useEffect(() => setDelivery("queue"), [running]);

  // Others see that somebody is writing, for as long as they are.
  useEffect(() => {
    if (text.trim() === "") return room.stand({ typing: false });
    room.stand({ typing: true });
    const timer = setTimeout(() => room.stand({ typing: false }), TYPING_MS);
    return () => clearTimeout(timer);
  }, [room, text]);

  const tooLarge = limit !== undefined && text.length * 3 > limit && encoder.encode(text).length > limit;

  async function send() {
    const prompt = text.trim();
    setText("");
    setExtras((extras) => ({ ...NO_EXTRAS, plan: extras.plan }));
    const accepted = await room.prompt(prompt, {
      delivery: running === undefined ? undefined : delivery,
      mode: extras.plan ? "plan" : undefined,
      images: extras.images.map(({ image }) => image),
      url: extras.url,
    });
    if (accepted) return;
    // What was refused comes back, unless something else has been written meanwhile.
    setText((current) => current || prompt);
    setExtras((current) => (current.images.length > 0 || current.url !== undefined ? current : extras));
  }

  return (
    <div className="composer">
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
        onStop={running === undefined || !canEdit ? undefined : () => room.cancel(running)}
        disabled={isViewer || connection.phase === "refused"}
        blocked={tooLarge}
        head={<ExtrasShown extras={extras} onChange={setExtras} />}
        onFiles={(files) => void addImages(files)}
        placeholder={placeholder(isViewer, running !== undefined, isFresh)}
        footer={
          running !== undefined && canEdit && text.trim() !== "" ? (
            <Segments
              label="When"
              value={delivery}
              options={DELIVERIES.filter((option) => option.value !== "interrupt" || mayInterrupt)}
              onChange={setDelivery}
              testId="delivery"
            />
          ) : (
            <>
              {canEdit && <ExtrasMenu extras={extras} onChange={setExtras} />}
              <ModelPicker standard={model} project={room.project} up />
              <UsageMenu />
            </>
          )
        }
      />
    </div>
  );
}

function placeholder(isViewer: boolean, isRunning: boolean, isFresh: boolean): string {
  if (isViewer) return "You are viewing. An owner can let you write.";
  if (isRunning) return "What next? It waits until this is done…";
  return isFresh ? "What do you want to build?" : "What should change?";
}
