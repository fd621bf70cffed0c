import { ArrowDown } from "lucide-react";
import { useMemo } from "react";
import { useView } from "../room.ts";
import { Composer } from "./Composer.tsx";
import { MessageView } from "./MessageView.tsx";
import { Queue } from "./Queue.tsx";
import { RunView } from "./RunView.tsx";
import { timeline } from "./timeline.ts";
import { useStickToEnd } from "./useStickToEnd.ts";
import "./chat.css";

/** The conversation, what is waiting, and the box for the next prompt. */
export function ChatPane() {
  const messages = useView((view) => view.state.messages);
  const runs = useView((view) => view.state.runs);
  const dropped = useView((view) => view.state.messages_dropped);
  const participants = useView((view) => view.state.participants);
  const summary = useView((view) => view.state.summary);
  const loaded = useView((view) => view.loaded);
  const items = useMemo(() => timeline(messages, runs), [messages, runs]);
  const { scroller, content, atEnd, toEnd } = useStickToEnd();

  return (
    <>
      <div className="chat-scroll" ref={scroller}>
        <div className="chat-items" ref={content}>
          {dropped > 0 && <p className="chat-dropped">{dropped} older messages are not shown.</p>}
          {!loaded && <ChatSkeleton />}
          {loaded && items.length === 0 && <Welcome />}
          {items.map((item) =>
            item.type === "message" ? (
              <MessageView
                key={item.message.message}
                summary={item.message.message === summary?.through ? summary.text : undefined}
                message={item.message}
                by={item.message.by && participants[item.message.by]}
                run={item.run}
                isLast={item.isLast}
                finisher={item.run?.by && participants[item.run.by]?.name}
              />
            ) : (
              <RunView
                key={item.run.run}
                run={item.run}
                by={item.run.by && participants[item.run.by]?.name}
              />
            ),
          )}
        </div>
      </div>
      <div className="chat-bottom">
        {!atEnd && (
          <button type="button" className="to-end" onClick={toEnd}>
            <ArrowDown size={14} /> Latest
          </button>
        )}
        <Queue />
        <Composer />
      </div>
    </>
  );
}

function Welcome() {
  return (
    <div className="chat-welcome" data-testid="chat-welcome">
      <h2>A fresh project</h2>
      <p>
        It has a small React app in it. Say what it should become; everybody in the room sees the answer as it
        is written.
      </p>
    </div>
  );
}

function ChatSkeleton() {
  return (
    <div className="chat-skeleton" aria-hidden="true">
      <i />
      <i />
      <i />
    </div>
  );
}
