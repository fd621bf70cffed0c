import { Monitor, Moon, Sun } from "lucide-react";
import { useTheme } from "../theme.ts";

const ICONS = { system: Monitor, light: Sun, dark: Moon };

export function ThemeToggle() {
  const [theme, cycle] = useTheme();
  const Icon = ICONS[theme];
  const label = `Theme: ${theme}. Switch`;
  return (
    <button
      type="button"
      className="icon-button"
      onClick={cycle}
      aria-label={label}
      title={label}
      data-testid="theme-toggle"
    >
      <Icon size={17} />
    </button>
  );
}
