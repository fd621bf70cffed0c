import { FlaskConical } from "lucide-react";
import type { ModelNotice } from "../../protocol.ts";
import "./model-tag.css";

/** The model that answers; where there is something to be told about it, that instead of its name. */
export function ModelTag({ model }: { model: ModelNotice | undefined }) {
  if (!model?.notice) return <span className="prompt-hint mono truncate">{model?.model}</span>;
  return (
    <span className="notice" data-testid="notice" title={model.model}>
      <FlaskConical size={13} aria-hidden="true" /> {model.notice}
    </span>
  );
}
