import { Monitor, Moon, Sun } from "lucide-react";
import { useTheme } from "../theme.ts";

const ICONS = { system: Monitor, light: Sun, dark: Moon };

export function ThemeToggle({ withWords }: { withWords?: boolean }) {
  const [theme, cycle] = useTheme();
  const Icon = ICONS[theme];
  const label = `Theme: ${theme}. Switch`;
  return (
    <button
      type="button"
      className={withWords ? undefined : "icon-button"}
      onClick={cycle}
      aria-label={label}
      title={label}
      data-testid="theme-toggle"
    >
      <Icon size={withWords ? 16 : 17} aria-hidden="true" />
      {withWords && `Theme: ${theme}`}
    </button>
  );
}
