import { randomId } from "@cobuild/client";
import { Plus } from "lucide-react";
import { useEffect, useState, useSyncExternalStore } from "react";
import type { ModelNotice } from "../../protocol.ts";
import { keepToken, tokenFor } from "../access.ts";
import { createProject, listModels } from "../api.ts";
import { explain } from "../errors.ts";
import { ConnectModel } from "../models/ConnectModel.tsx";
import { ModelPicker } from "../models/ModelPicker.tsx";
import { chosenModel, isDemo } from "../models/models.ts";
import { LinkForm, OwnerHint } from "../parts/LinkForm.tsx";
import { Logo } from "../parts/Logo.tsx";
import { PromptBox } from "../parts/PromptBox.tsx";
import { Spinner } from "../parts/Spinner.tsx";
import { ThemeToggle } from "../parts/ThemeToggle.tsx";
import { refusalOf } from "../project/refusal.ts";
import { navigate } from "../router.ts";
import { toast } from "../toasts.ts";
import { ProjectList } from "./ProjectList.tsx";
import { placeholderFor } from "./placeholder.ts";
import "./start.css";

const IDEAS = ["A todo list", "A kanban board", "A dashboard with charts"];
/** A project is named after the prompt it began with, as far as that fits a card. */
const NAME_LENGTH_MAX = 60;

export function StartPage() {
  const [refused, setRefused] = useState<string>();
  return refused === undefined ? <Start onRefused={setRefused} /> : <Closed reason={refused} />;
}

/** The server lets nobody in who shows no token, or not this one. */
function Closed({ reason }: { reason: string }) {
  const refusal = refusalOf(4501, reason, tokenFor() !== undefined);
  return (
    <main className="full-notice" data-testid="closed">
      <Logo size={40} />
      <h1>{refusal.title}</h1>
      <p>{refusal.text}</p>
      <LinkForm
        onLink={({ token, project }) => {
          keepToken(token, project);
          location.assign(project === undefined ? "/" : `/p/${project}`);
        }}
      />
      <OwnerHint />
    </main>
  );
}

function Start({ onRefused }: { onRefused: (reason: string) => void }) {
  const [text, setText] = useState("");
  const [creating, setCreating] = useState(false);
  const [model, setModel] = useState<ModelNotice>();
  const chosen = useSyncExternalStore(chosenModel.subscribe, chosenModel.get);
  useEffect(() => {
    document.title = "Cobuild";
    // Unknown it is not worth a message: a server that cannot be reached shows in the list of projects.
    listModels().then(
      (models) => setModel(models.default),
      () => undefined,
    );
  }, []);

  async function create(prompt?: string) {
    setCreating(true);
    try {
      const project = await createProject(prompt ? nameFrom(prompt) : "Untitled project");
      navigate(`/p/${project}`, prompt ? { prompt: { text: prompt, id: randomId() } } : {});
    } catch (error) {
      toast({ tone: "bad", ...explain(error) });
      setCreating(false);
    }
  }

  return (
    <div className="start">
      <header className="start-header">
        <span className="brand">
          <Logo /> Cobuild
        </span>
        <ThemeToggle />
      </header>
      <main>
        <section className="hero">
          <h1>What do you want to build?</h1>
          <p className="hero-line">
            Describe an app, watch it being written, and use it live – together with everybody in the room.
          </p>
          <PromptBox
            large
            autoFocus
            value={text}
            onChange={setText}
            onSend={() => void create(text.trim())}
            busy={creating}
            placeholder={placeholderFor(chosen ?? model?.model)}
            footer={
              <>
                <ModelPicker standard={model} />
                <span className="prompt-hint">Enter to build · Shift+Enter for a new line</span>
              </>
            }
          />
          <div className="ideas">
            <span id="ideas-label">Or start from</span>
            <ul className="chips" aria-labelledby="ideas-label">
              {IDEAS.map((idea) => (
                <li key={idea}>
                  <button
                    type="button"
                    className="chip"
                    disabled={creating}
                    onClick={() => void create(idea)}
                  >
                    {idea}
                  </button>
                </li>
              ))}
            </ul>
          </div>
          {isDemo(chosen ?? model?.model) && (
            <div className="start-demo">
              <span>The demo has answers for a few apps. To build anything:</span>
              <ConnectModel />
            </div>
          )}
        </section>
        <section className="projects" aria-labelledby="projects-title">
          <div className="projects-head">
            <h2 id="projects-title">Projects</h2>
            <button
              type="button"
              className="button small"
              disabled={creating}
              onClick={() => void create()}
              data-testid="new-project"
            >
              {creating ? <Spinner size={14} /> : <Plus size={15} />} Blank project
            </button>
          </div>
          <ProjectList onRefused={onRefused} />
        </section>
      </main>
    </div>
  );
}

function nameFrom(prompt: string): string {
  const line = prompt.split("\n")[0]?.trim() ?? "";
  return line.length <= NAME_LENGTH_MAX ? line : `${line.slice(0, NAME_LENGTH_MAX - 1).trimEnd()}…`;
}
