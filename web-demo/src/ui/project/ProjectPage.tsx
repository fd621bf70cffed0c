import { Code2, Eye, MessageSquare } from "lucide-react";
import { useEffect, useState } from "react";
import { ChatPane } from "../chat/ChatPane.tsx";
import { draft } from "../chat/draft.ts";
import { CodePane } from "../code/CodePane.tsx";
import { useNarrow } from "../media.ts";
import { PreviewPane } from "../preview/PreviewPane.tsx";
import { Room, RoomProvider, useRoom, useView } from "../room.ts";
import { forgetPrompt, openingPrompt } from "../router.ts";
import { Announcer } from "./Announcer.tsx";
import { Refused } from "./Refused.tsx";
import { Splitter, useChatWidth } from "./Splitter.tsx";
import { type Tab, Tabs } from "./Tabs.tsx";
import { TopBar } from "./TopBar.tsx";
import { useFollowedTab } from "./useFollowedTab.ts";
import "./project.css";

/** One project: the conversation on the left, what comes of it on the right. */
export function ProjectPage({ project }: { project: string }) {
  const [room] = useState(() => new Room(project));
  useEffect(() => room.enter(), [room]);
  useEffect(() => {
    const prompt = openingPrompt();
    if (!prompt) return;
    // Kept until there is a reply: a page reloaded meanwhile sends the same command again, which has no second effect.
    void room.prompt(prompt.text, prompt.id).then((accepted) => {
      forgetPrompt(prompt.id);
      if (!accepted) draft.set(prompt.text);
    });
  }, [room]);
  return (
    <RoomProvider value={room}>
      <Panes />
    </RoomProvider>
  );
}

const WORK_TABS: Tab[] = [
  { id: "preview", label: "Preview", icon: Eye },
  { id: "code", label: "Code", icon: Code2 },
];
const ALL_TABS: Tab[] = [{ id: "chat", label: "Chat", icon: MessageSquare }, ...WORK_TABS];

function Panes() {
  const room = useRoom();
  const narrow = useNarrow();
  const name = useView((view) => view.state.name);
  const refused = useView((view) => view.connection.phase === "refused");
  const loaded = useView((view) => view.loaded);
  const [width, setWidth] = useChatWidth();
  const [chosen, choose] = useFollowedTab(narrow);
  const shown = !narrow && chosen === "chat" ? "preview" : chosen;

  useEffect(() => {
    document.title = name ? `${name} · Cobuild` : "Cobuild";
  }, [name]);

  if (refused && !loaded) return <Refused />;
  return (
    <div className="project" style={{ "--chat-width": `${width}px` } as React.CSSProperties}>
      <TopBar
        project={room.project}
        tabs={!narrow && <Tabs tabs={WORK_TABS} value={shown} onChange={choose} />}
      />
      <Announcer />
      <section
        className="pane chat-pane"
        id="panel-chat"
        aria-label="Chat"
        hidden={narrow && shown !== "chat"}
      >
        <ChatPane />
      </section>
      {!narrow && <Splitter width={width} onChange={setWidth} />}
      <section className="work" aria-label="Workspace" hidden={narrow && shown === "chat"}>
        <div
          className="pane"
          id="panel-preview"
          role="tabpanel"
          aria-labelledby="tab-preview"
          hidden={shown !== "preview"}
        >
          <PreviewPane />
        </div>
        <div
          className="pane"
          id="panel-code"
          role="tabpanel"
          aria-labelledby="tab-code"
          hidden={shown !== "code"}
        >
          <CodePane active={shown === "code"} />
        </div>
      </section>
      {narrow && <Tabs bottom tabs={ALL_TABS} value={shown} onChange={choose} />}
    </div>
  );
}
