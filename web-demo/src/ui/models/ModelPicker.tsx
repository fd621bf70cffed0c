import { Check, ChevronsUpDown, FlaskConical } from "lucide-react";
import { useState, useSyncExternalStore } from "react";
import type { ModelEntry, ModelNotice, ProviderReport } from "../../protocol.ts";
import { Menu } from "../parts/Menu.tsx";
import { Spinner } from "../parts/Spinner.tsx";
import { ConnectModel } from "./ConnectModel.tsx";
import {
  chooseModel,
  chosenModel,
  contextOf,
  grouped,
  isDemo,
  type Models,
  priceOf,
  useModels,
} from "./models.ts";
import "./models.css";

/** More than this and a search helps. */
const SEARCHED_FROM = 9;

interface ModelPickerProps {
  /** What answers when nothing is chosen. */
  standard: ModelNotice | undefined;
  project?: string;
  /** Opens above its button. */
  up?: boolean;
}

/** The model that answers next, and the choice of another one. */
export function ModelPicker({ standard, project, up }: ModelPickerProps) {
  const chosen = useSyncExternalStore(chosenModel.subscribe, chosenModel.get);
  const [wanted, setWanted] = useState(false);
  const models = useModels(project, wanted);
  const name = chosen ?? standard?.model;
  const entry = models.list?.models.find((model) => model.model === name);
  const notice = chosen === undefined || chosen === standard?.model ? standard?.notice : entry?.notice;
  if (!name) return null;
  return (
    <Menu
      className={notice ? "model-button notice" : "model-button"}
      label={`Model: ${name}${notice ? `. ${notice}` : ""}. Choose another`}
      testId="model-picker"
      up={up ?? false}
      onOpen={() => setWanted(true)}
      button={
        <>
          {notice && <FlaskConical size={13} aria-hidden="true" />}
          <span className="truncate" data-testid={notice ? "notice" : undefined}>
            {notice ?? shortName(name)}
          </span>
          <ChevronsUpDown size={12} aria-hidden="true" />
        </>
      }
    >
      {(close) => (
        <Choice
          models={models}
          chosen={name}
          onChoose={(model) => {
            chooseModel(model === standard?.model ? undefined : model);
            close();
          }}
        />
      )}
    </Menu>
  );
}

interface ChoiceProps {
  models: Models;
  chosen: string;
  onChoose: (model: string) => void;
}

function Choice({ models, chosen, onChoose }: ChoiceProps) {
  const [search, setSearch] = useState("");
  const { list, failure, load } = models;
  if (failure) {
    return (
      <p className="bad model-panel" role="alert">
        {failure}{" "}
        <button type="button" className="link-button" onClick={load}>
          Try again
        </button>
      </p>
    );
  }
  if (!list) {
    return (
      <div className="model-panel">
        <Spinner />
      </div>
    );
  }
  const groups = grouped(list.models, search);
  const titles = new Map(list.providers.map(({ provider, title }) => [provider, title]));
  const others = list.providers.filter((provider) => provider.state !== "ready");
  return (
    <div className="model-panel">
      {list.models.length >= SEARCHED_FROM && (
        <input
          className="model-search"
          type="search"
          value={search}
          placeholder="Search"
          aria-label="Search the models"
          // biome-ignore lint/a11y/noAutofocus: whoever opens a long list wants to find something in it
          autoFocus
          onChange={(event) => setSearch(event.target.value)}
        />
      )}
      <div className="model-groups">
        {groups.map(([provider, entries]) => (
          <section key={provider} aria-label={titles.get(provider) ?? provider}>
            <h2>{titles.get(provider) ?? provider}</h2>
            {entries.map((entry) => (
              <Entry key={entry.model} entry={entry} isChosen={entry.model === chosen} onChoose={onChoose} />
            ))}
          </section>
        ))}
        {groups.length === 0 && <p className="soft">No model has these words in its name.</p>}
        {list.models.every(({ model }) => isDemo(model)) && <ConnectModel />}
        {others.length > 0 && <Others providers={others} />}
      </div>
    </div>
  );
}

interface EntryProps {
  entry: ModelEntry;
  isChosen: boolean;
  onChoose: (model: string) => void;
}

function Entry({ entry, isChosen, onChoose }: EntryProps) {
  const facts = [
    entry.default && "default",
    contextOf(entry),
    priceOf(entry),
    entry.vision && "sees pictures",
  ];
  return (
    <button
      type="button"
      className="model-entry"
      aria-pressed={isChosen}
      onClick={() => onChoose(entry.model)}
      data-testid="model-entry"
    >
      <span>
        <strong>{shortName(entry.model)}</strong>
        <small>{facts.filter(Boolean).join(" · ")}</small>
        {entry.notice && <small className="model-notice">{entry.notice}</small>}
      </span>
      {isChosen && <Check size={15} aria-hidden="true" />}
    </button>
  );
}

/** Providers that offer nothing now, and what would help. */
function Others({ providers }: { providers: ProviderReport[] }) {
  return (
    <details className="model-others">
      <summary>Others</summary>
      <ul>
        {providers.map(({ provider, title, detail, variable }) => (
          <li key={provider}>
            {detail ??
              `${title}: ${variable ? `set ${variable} on the server` : "not found on this machine"}`}
          </li>
        ))}
      </ul>
    </details>
  );
}

/** The name without its provider. */
function shortName(model: string): string {
  return model.slice(model.indexOf("/") + 1);
}
