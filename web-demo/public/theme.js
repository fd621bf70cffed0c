// Runs before the first paint, so that a chosen theme does not flash. A file of its own: inline scripts would need an
// exception in the content policy. The key is shared with src/ui/theme.ts.
try {
  const theme = localStorage.getItem("cobuild.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // No storage, no preference: the system decides.
}
