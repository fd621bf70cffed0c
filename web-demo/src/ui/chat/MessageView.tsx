import { Globe, Image, ListChecks, MessageSquarePlus } from "lucide-react";
import { memo } from "react";
import type {
  Message,
  MessagePart,
  Participant,
  PreviewState,
  RunInfo,
  SandboxInfo,
} from "../../protocol.ts";
import { count, size, timeOfDay } from "../format.ts";
import { ConnectModel } from "../models/ConnectModel.tsx";
import { isDemo } from "../models/models.ts";
import { Avatar } from "../parts/Avatar.tsx";
import { Logo } from "../parts/Logo.tsx";
import { ModelTag } from "../parts/ModelTag.tsx";
import { useView } from "../room.ts";
import type { FilePart } from "../select.ts";
import { FileCards } from "./FileCards.tsx";
import { Markdown } from "./Markdown.tsx";
import { RunFooter } from "./RunFooter.tsx";
import { RunNotes } from "./RunNotes.tsx";
import { Steps } from "./Steps.tsx";
import { Turns } from "./Turns.tsx";
import { usageWords } from "./usage.ts";
import "./usage.css";

interface MessageViewProps {
  message: Message;
  /** What goes to models in place of this message and all before it. */
  summary: string | undefined;
  by: Participant | "" | undefined;
  run: RunInfo | undefined;
  /** The run's steps and outcome belong below this message. */
  isLast: boolean;
  finisher: string | undefined;
}

export const MessageView = memo(function MessageView({
  message,
  summary,
  by,
  run,
  isLast,
  finisher,
}: MessageViewProps) {
  const isRunning = isLast && run?.state === "running";
  return (
    <article className={`message ${message.role}`} data-testid="message" data-role={message.role}>
      {message.role === "user" ? (
        <UserMessage message={message} by={by || undefined} isPlan={run?.mode === "plan"} />
      ) : (
        <AssistantMessage message={message} run={run} isRunning={isRunning} />
      )}
      {isLast && run && (
        <>
          <Turns turns={run.turns} isFree={isDemo(message.model ?? run.model)} />
          <Steps steps={run.steps} />
          <RunNotes run={run} message={message.role === "assistant" ? message : undefined} />
          {isRunning ? (
            <Working message={message} run={run} />
          ) : (
            <RunFooter run={run} message={message} by={finisher} />
          )}
        </>
      )}
      {summary !== undefined && (
        <details className="conversation-mark">
          <summary>Models are told what is above in short</summary>
          <p>{summary}</p>
        </details>
      )}
    </article>
  );
});

interface UserMessageProps {
  message: Message;
  by: Participant | undefined;
  isPlan: boolean;
}

function UserMessage({ message, by, isPlan }: UserMessageProps) {
  const text = message.parts.map((part) => (part.type === "text" ? part.text : "")).join("");
  return (
    <>
      <header className="message-head">
        {by && <Avatar id={by.participant} name={by.name} size={22} />}
        <strong>{by?.name ?? "Somebody"}</strong>
        <time dateTime={message.at}>{timeOfDay(message.at)}</time>
      </header>
      <div className="bubble">{text}</div>
      <Attached message={message} isPlan={isPlan} />
    </>
  );
}

/** What came with a prompt. */
function Attached({ message, isPlan }: { message: Message; isPlan: boolean }) {
  const { images = [], url, steers } = message;
  if (images.length === 0 && url === undefined && !steers && !isPlan) return null;
  const bytes = images.reduce((sum, image) => sum + image.size_bytes, 0);
  return (
    <div className="attached">
      {isPlan && (
        <span>
          <ListChecks size={12} aria-hidden="true" /> plan only
        </span>
      )}
      {steers && (
        <span>
          <MessageSquarePlus size={12} aria-hidden="true" /> added to the answer under way
        </span>
      )}
      {images.length > 0 && (
        <span>
          <Image size={12} aria-hidden="true" /> {count(images.length, "picture")} · {size(bytes)}
        </span>
      )}
      {url !== undefined && (
        <span>
          <Globe size={12} aria-hidden="true" /> <span className="truncate">like {url}</span>
        </span>
      )}
    </div>
  );
}

interface AssistantMessageProps {
  message: Message;
  run: RunInfo | undefined;
  isRunning: boolean;
}

function AssistantMessage({ message, run, isRunning }: AssistantMessageProps) {
  return (
    <>
      <header className="message-head">
        <Logo size={20} />
        <strong>Cobuild</strong>
        {message.notice ? (
          <ModelTag model={{ model: message.model ?? "", notice: message.notice }} />
        ) : (
          <span className="model mono truncate">{message.model}</span>
        )}
        {message.usage &&
          !isDemo(message.model) &&
          run &&
          run.usage !== undefined &&
          !sameUsage(message, run) && <span className="queue-by">{usageWords(message.usage)}</span>}
      </header>
      {grouped(message.parts).map((group, index) => {
        // Parts are only ever appended, so a group's place is its identity.
        const key = `${index}`;
        if (group.type === "files")
          return <FileCards key={key} files={group.files} run={run} isRunning={isRunning} />;
        if (group.type === "reasoning") return <Reasoning key={key} text={group.text} />;
        return <Markdown key={key} text={group.text} />;
      })}
      {isDemo(message.model) && hasNoAnswer(message) && <ConnectModel />}
    </>
  );
}

/** The demo says what it can do instead, and that a real model could do more. */
function hasNoAnswer({ parts }: Message): boolean {
  return parts.some((part) => part.type === "text" && part.text.includes("connect a real model"));
}

/** A run of one message has consumed what its message has; it is said once, below. */
function sameUsage(message: Message, run: RunInfo): boolean {
  return JSON.stringify(message.usage) === JSON.stringify(run.usage);
}

function Reasoning({ text }: { text: string }) {
  return (
    <details className="reasoning">
      <summary>Reasoning</summary>
      <p>{text}</p>
    </details>
  );
}

/** What is going on while nothing else moves. */
function Working({ message, run }: { message: Message; run: RunInfo }) {
  const sandbox = useView((view) => view.state.sandbox);
  const preview = useView((view) => view.state.preview.state);
  const part = message.role === "assistant" ? message.parts.at(-1) : undefined;
  if (run.steps.some((step) => !step.finished) || (part?.type === "file" && part.state === "typing"))
    return null;
  return (
    <p className="working">
      <span className="dots" aria-hidden="true">
        <i />
        <i />
        <i />
      </span>
      {doing(message, run, sandbox, preview)}…
    </p>
  );
}

function doing(message: Message, run: RunInfo, sandbox: SandboxInfo, preview: PreviewState): string {
  const isApplied = message.parts.some((part) => part.type === "file" && part.state === "written");
  if (!isApplied && run.steps.length === 0) {
    const last = message.role === "assistant" ? message.parts.at(-1)?.type : undefined;
    return last === undefined || last === "reasoning" ? "Thinking" : last === "text" ? "Writing" : "Working";
  }
  if (sandbox.state === "creating" || sandbox.state === "restoring")
    return sandbox.detail ?? "Preparing the sandbox";
  return preview === "starting" ? "Starting the app" : "Finishing";
}

type Group = Exclude<MessagePart, FilePart> | { type: "files"; files: FilePart[] };

/** Files in a row become one list; white space between them is nothing to show. */
function grouped(parts: MessagePart[]): Group[] {
  const groups: Group[] = [];
  for (const part of parts) {
    const last = groups.at(-1);
    if (part.type === "file" && last?.type === "files") last.files.push(part);
    else if (part.type === "file") groups.push({ type: "files", files: [part] });
    // A kind of part this page does not know may have no text.
    else if (typeof part.text === "string" && part.text.trim() !== "") groups.push(part);
  }
  return groups;
}
