import { memo } from "react";
import type {
  Message,
  MessagePart,
  Participant,
  PreviewState,
  RunInfo,
  SandboxInfo,
} from "../../protocol.ts";
import { timeOfDay } from "../format.ts";
import { Avatar } from "../parts/Avatar.tsx";
import { Logo } from "../parts/Logo.tsx";
import { ModelTag } from "../parts/ModelTag.tsx";
import { useView } from "../room.ts";
import type { FilePart } from "../select.ts";
import { FileCards } from "./FileCards.tsx";
import { Markdown } from "./Markdown.tsx";
import { RunFooter } from "./RunFooter.tsx";
import { Steps } from "./Steps.tsx";

interface MessageViewProps {
  message: Message;
  by: Participant | "" | undefined;
  run: RunInfo | undefined;
  /** The run's steps and outcome belong below this message. */
  isLast: boolean;
  finisher: string | undefined;
}

export const MessageView = memo(function MessageView({
  message,
  by,
  run,
  isLast,
  finisher,
}: MessageViewProps) {
  const isRunning = isLast && run?.state === "running";
  return (
    <article className={`message ${message.role}`} data-testid="message" data-role={message.role}>
      {message.role === "user" ? (
        <UserMessage message={message} by={by || undefined} />
      ) : (
        <AssistantMessage message={message} run={run} isRunning={isRunning} />
      )}
      {isLast && run && (
        <>
          <Steps steps={run.steps} />
          {isRunning ? (
            <Working message={message} run={run} />
          ) : (
            <RunFooter run={run} message={message} by={finisher} />
          )}
        </>
      )}
    </article>
  );
});

function UserMessage({ message, by }: { message: Message; by: Participant | undefined }) {
  const text = message.parts.map((part) => (part.type === "text" ? part.text : "")).join("");
  return (
    <>
      <header className="message-head">
        {by && <Avatar id={by.participant} name={by.name} size={22} />}
        <strong>{by?.name ?? "Somebody"}</strong>
        <time dateTime={message.at}>{timeOfDay(message.at)}</time>
      </header>
      <div className="bubble">{text}</div>
    </>
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
      </header>
      {grouped(message.parts).map((group, index) => {
        // Parts are only ever appended, so a group's place is its identity.
        const key = `${index}`;
        if (group.type === "files")
          return <FileCards key={key} files={group.files} run={run} isRunning={isRunning} />;
        if (group.type === "reasoning") return <Reasoning key={key} text={group.text} />;
        return <Markdown key={key} text={group.text} />;
      })}
    </>
  );
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
