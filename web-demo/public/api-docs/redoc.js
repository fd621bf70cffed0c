// Nothing is loaded from elsewhere: fonts are the system's, and the page's policy forbids the rest.
const FONT = "system-ui, sans-serif";
window.Redoc.init(
  "/api/openapi.json",
  {
    hideDownloadButton: false,
    theme: {
      typography: {
        fontFamily: FONT,
        headings: { fontFamily: FONT },
        code: { fontFamily: "ui-monospace, monospace" },
      },
    },
  },
  document.getElementById("api"),
);
