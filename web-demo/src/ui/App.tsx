import { Toasts } from "./parts/Toasts.tsx";
import { ProjectPage } from "./project/ProjectPage.tsx";
import { follow, useRoute } from "./router.ts";
import { StartPage } from "./start/StartPage.tsx";

export function App() {
  const route = useRoute();
  return (
    <>
      {route.page === "start" && <StartPage />}
      {route.page === "project" && <ProjectPage key={route.project} project={route.project} />}
      {route.page === "unknown" && <Unknown />}
      <Toasts />
    </>
  );
}

function Unknown() {
  return (
    <main className="full-notice">
      <h1>There is nothing here</h1>
      <p>The address does not belong to a project.</p>
      <a className="button primary" href="/" onClick={follow}>
        To the start page
      </a>
    </main>
  );
}
