import { Globe, ImagePlus, ListChecks, Plus, X } from "lucide-react";
import { type FormEvent, useRef, useState } from "react";
import { explain } from "../errors.ts";
import { Menu } from "../parts/Menu.tsx";
import { useView } from "../room.ts";
import { toast } from "../toasts.ts";
import { ACCEPTED, type Attachment, attach, encodedSize, pageAddress } from "./attachments.ts";
import "./extras.css";

/** What a prompt comes with, besides its words. */
export interface Extras {
  images: readonly Attachment[];
  url: string | undefined;
  plan: boolean;
}

export const NO_EXTRAS: Extras = { images: [], url: undefined, plan: false };
/** Room in the command's frame for everything that is no picture. */
const FRAME_SPARE_BYTES = 300_000;

interface ExtrasProps {
  extras: Extras;
  onChange: (change: (extras: Extras) => Extras) => void;
}

/** Adds pictures; says what is wrong with those it does not take. */
export function useAddImages({ extras, onChange }: ExtrasProps): (files: File[]) => Promise<void> {
  const limits = useView((view) => view.welcome?.limits);
  return async (files) => {
    if (!limits?.images_max) return;
    const taken = [...extras.images];
    for (const file of files) {
      try {
        if (taken.length >= limits.images_max)
          throw new Error(`A prompt has at most ${limits.images_max} pictures.`);
        const attached = await attach(file, limits.image_size_bytes_max);
        if (encodedSize([...taken, attached]) > limits.frame_size_bytes_max - FRAME_SPARE_BYTES)
          throw new Error("Together the pictures are too large.");
        taken.push(attached);
      } catch (error) {
        toast({ tone: "bad", ...explain(error) });
      }
    }
    onChange((extras) => ({ ...extras, images: taken }));
  };
}

/** What can be added to a prompt. */
export function ExtrasMenu({ extras, onChange }: ExtrasProps) {
  const takesImages = useView((view) => (view.welcome?.limits.images_max ?? 0) > 0);
  const picker = useRef<HTMLInputElement>(null);
  const add = useAddImages({ extras, onChange });
  return (
    <>
      <Menu
        className="icon-button small extras-button"
        label="Add to the prompt"
        testId="extras"
        up
        button={<Plus size={16} aria-hidden="true" />}
      >
        {(close) => (
          <div className="more-panel extras-panel">
            {takesImages && (
              <button
                type="button"
                onClick={() => {
                  close();
                  picker.current?.click();
                }}
              >
                <ImagePlus size={16} aria-hidden="true" /> Attach pictures…
              </button>
            )}
            <PageForm
              onPage={(url) => {
                onChange((extras) => ({ ...extras, url }));
                close();
              }}
            />
            <button
              type="button"
              aria-pressed={extras.plan}
              onClick={() => {
                onChange((extras) => ({ ...extras, plan: !extras.plan }));
                close();
              }}
              data-testid="plan"
            >
              <ListChecks size={16} aria-hidden="true" />{" "}
              {extras.plan ? "Build, not only plan" : "Plan only: touch nothing"}
            </button>
          </div>
        )}
      </Menu>
      <input
        ref={picker}
        type="file"
        accept={ACCEPTED}
        multiple
        hidden
        onChange={(event) => {
          void add([...(event.target.files ?? [])]);
          event.target.value = "";
        }}
        data-testid="image-input"
      />
    </>
  );
}

function PageForm({ onPage }: { onPage: (url: string) => void }) {
  const [text, setText] = useState("");
  const address = pageAddress(text);
  function submit(event: FormEvent) {
    event.preventDefault();
    if (address) onPage(address);
  }
  return (
    <form className="page-form" onSubmit={submit}>
      <Globe size={16} aria-hidden="true" />
      <input
        value={text}
        onChange={(event) => setText(event.target.value)}
        placeholder="A page to imitate"
        aria-label="The address of a page to imitate"
        inputMode="url"
        autoComplete="off"
        spellCheck={false}
        data-testid="page-input"
      />
      <button type="submit" className="button small" disabled={!address}>
        Add
      </button>
    </form>
  );
}

/** What has been added, each to be taken away again. */
export function ExtrasShown({ extras, onChange }: ExtrasProps) {
  const { images, url, plan } = extras;
  if (images.length === 0 && url === undefined && !plan) return null;
  return (
    <ul className="extras" aria-label="Added to the prompt" data-testid="extras-shown">
      {plan && (
        <li className="extra">
          <ListChecks size={13} aria-hidden="true" /> Plan only
          <Remove what="plan only" onClick={() => onChange((extras) => ({ ...extras, plan: false }))} />
        </li>
      )}
      {url !== undefined && (
        <li className="extra">
          <Globe size={13} aria-hidden="true" /> <span className="truncate">{url}</span>
          <Remove what="the page" onClick={() => onChange((extras) => ({ ...extras, url: undefined }))} />
        </li>
      )}
      {images.map((image, index) => (
        <li key={index} className="extra picture">
          <img src={image.address} alt={image.name} />
          <Remove
            what={image.name}
            onClick={() =>
              onChange((extras) => ({ ...extras, images: extras.images.filter((other) => other !== image) }))
            }
          />
        </li>
      ))}
    </ul>
  );
}

function Remove({ what, onClick }: { what: string; onClick: () => void }) {
  return (
    <button
      type="button"
      className="extra-remove"
      aria-label={`Remove ${what}`}
      title="Remove"
      onClick={onClick}
    >
      <X size={12} />
    </button>
  );
}
