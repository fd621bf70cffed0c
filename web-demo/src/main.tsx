import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import "./ui/styles/fonts.css";
import "./ui/styles/tokens.css";
import "./ui/styles/base.css";
import { App } from "./ui/App.tsx";
import { takeTokenFromAddress } from "./ui/access.ts";

// Before anything else looks at the address. A link pasted into an open page only changes its fragment.
takeTokenFromAddress();
addEventListener("hashchange", () => {
  if (takeTokenFromAddress()) location.reload();
});

const root = document.getElementById("root");
if (!root) throw new Error("index.html has no #root");
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
