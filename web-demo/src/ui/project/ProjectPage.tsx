import { Code2, Eye, MessageSquare } from "lucide-react";
import { useEffect, useState, useSyncExternalStore } from "react";
import { ChatPane } from "../chat/ChatPane.tsx";
import { draft } from "../chat/draft.ts";
import { CodePane } from "../code/CodePane.tsx";
import { ConflictDialog } from "../conflicts/ConflictDialog.tsx";
import { HistoryDialog } from "../history/HistoryDialog.tsx";
import { useNarrow } from "../media.ts";
import { PreviewPane } from "../preview/PreviewPane.tsx";
import { Room, RoomProvider, useRoom, useView } from "../room.ts";
import { forgetPrompt, openingPrompt } from "../router.ts";
import { ShareDialog } from "../share/ShareDialog.tsx";
import { Announcer } from "./Announcer.tsx";
import { ErrorBoundary } from "./ErrorBoundary.tsx";
import { Notices } from "./Notices.tsx";
import { Refused, useRefusal } from "./Refused.tsx";
import { Splitter, useChatWidth } from "./Splitter.tsx";
import { type Tab, type TabId, Tabs } from "./Tabs.tsx";
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
    void room.prompt(prompt.text, prompt).then((accepted) => {
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
  const refusal = useRefusal();
  const loaded = useView((view) => view.loaded);
  const [width, setWidth] = useChatWidth();
  const [chosen, show] = useFollowedTab(narrow);
  const shown = !narrow && chosen === "chat" ? "preview" : chosen;
  const troubled = useView((view) => (view.previewError ? "preview" : undefined));
  const choose = (tab: TabId) => {
    room.follow(undefined);
    show(tab);
  };
  useDestination(show);
  useLeaveWarning();
  useEffect(() => room.stand({ tab: shown }), [room, shown]);

  useEffect(() => {
    document.title = name ? `${name} · Cobuild` : "Cobuild";
  }, [name]);

  if (refusal && !(loaded && refusal.keepsPage)) return <Refused refusal={refusal} />;
  return (
    <div className="project" style={{ "--chat-width": `${width}px` } as React.CSSProperties}>
      <TopBar
        project={room.project}
        tabs={!narrow && <Tabs tabs={WORK_TABS} value={shown} onChange={choose} troubled={troubled} />}
      />
      <Announcer />
      <Notices refusal={refusal} />
      <section
        className="pane chat-pane"
        id="panel-chat"
        aria-label="Chat"
        hidden={narrow && shown !== "chat"}
      >
        <ErrorBoundary what="the chat">
          <ChatPane />
        </ErrorBoundary>
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
          <ErrorBoundary what="the preview">
            <PreviewPane />
          </ErrorBoundary>
        </div>
        <div
          className="pane"
          id="panel-code"
          role="tabpanel"
          aria-labelledby="tab-code"
          hidden={shown !== "code"}
        >
          <ErrorBoundary what="the code">
            <CodePane active={shown === "code"} />
          </ErrorBoundary>
        </div>
      </section>
      {narrow && <Tabs bottom tabs={ALL_TABS} value={shown} onChange={choose} troubled={troubled} />}
      <OpenDialog />
    </div>
  );
}

function OpenDialog() {
  const room = useRoom();
  const open = useSyncExternalStore(room.dialog.subscribe, room.dialog.get);
  const close = () => room.dialog.set(undefined);
  switch (open?.type) {
    case "share":
      return <ShareDialog onClose={close} />;
    case "history":
      return <HistoryDialog onClose={close} />;
    case "conflict":
      return <ConflictDialog first={open.conflict} onClose={close} />;
    default:
      return null;
  }
}

/** Shows the pane the page is asked to go to. */
function useDestination(show: (tab: TabId) => void) {
  const room = useRoom();
  useEffect(
    () =>
      room.destination.subscribe(() => {
        const tab = room.destination.get()?.tab;
        if (tab) show(tab);
      }),
    [room, show],
  );
}

/** A page with an unsaved edit asks before it is closed. */
function useLeaveWarning() {
  const room = useRoom();
  useEffect(() => {
    const leaving = (event: BeforeUnloadEvent) => {
      if (room.edits.areDirty) event.preventDefault();
    };
    window.addEventListener("beforeunload", leaving);
    return () => window.removeEventListener("beforeunload", leaving);
  }, [room]);
}
