import type { LucideIcon } from "lucide-react";
import type { KeyboardEvent } from "react";
import "./tabs.css";

export type TabId = "chat" | "preview" | "code";

export interface Tab {
  id: TabId;
  label: string;
  icon: LucideIcon;
}

interface TabsProps {
  tabs: Tab[];
  value: TabId;
  onChange: (id: TabId) => void;
  /** As a bar at the lower edge of a narrow screen. */
  bottom?: boolean;
  /** Something is wrong there. */
  troubled?: TabId | undefined;
}

export function Tabs({ tabs, value, onChange, bottom, troubled }: TabsProps) {
  function keyDown(event: KeyboardEvent<HTMLDivElement>) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const index = tabs.findIndex((tab) => tab.id === value);
    const next = tabs.at((index + step) % tabs.length);
    if (!next) return;
    onChange(next.id);
    document.getElementById(`tab-${next.id}`)?.focus();
  }

  return (
    <div className={bottom ? "tabs bottom" : "tabs"} role="tablist" aria-label="View" onKeyDown={keyDown}>
      {tabs.map(({ id, label, icon: Icon }) => (
        <button
          key={id}
          id={`tab-${id}`}
          type="button"
          role="tab"
          aria-selected={id === value}
          aria-controls={`panel-${id}`}
          tabIndex={id === value ? 0 : -1}
          data-testid={`tab-${id}`}
          onClick={() => onChange(id)}
        >
          <Icon size={bottom ? 19 : 15} aria-hidden="true" />
          {label}
          {id === troubled && (
            <i className="tab-trouble" role="img" aria-label="shows an error" data-testid="tab-trouble" />
          )}
        </button>
      ))}
    </div>
  );
}
