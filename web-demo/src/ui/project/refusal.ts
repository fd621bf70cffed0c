// Why the server does not let this page in, as the person in front of it needs to hear it.

/** What the page shows and offers. */
export interface Refusal {
  title: string;
  text: string;
  /** What there was to see may stay on the screen: nobody is sent away, something has only run out. */
  keepsPage?: boolean;
  /** Another link would help. */
  asksForLink?: boolean;
  /** How whoever runs the server gets in. */
  tellsOwner?: boolean;
  reloads?: boolean;
}

/**
 * What a final close code means. The code says what kind of refusal it is; which of that kind is told from the server's
 * sentence, and where that is none of these, the sentence itself is shown.
 */
export function refusalOf(code: number, reason: string, hasToken: boolean): Refusal {
  switch (code) {
    case 4501:
      return refusalOfToken(reason, hasToken);
    case 4503:
      if (/removed you/.test(reason)) {
        const text = "What you have made stays there. To come back, ask an owner of the project.";
        return { title: "An owner has removed you from this project", text };
      }
      return {
        title: "This project is not open to you",
        text: "Your link or token is for something else. Ask an owner of this project for a link.",
        asksForLink: true,
      };
    case 4504:
      return { title: "There is no such project", text: "It was deleted, or the address has a typo." };
    case 4505:
      return {
        title: "This page is out of date",
        text: "The server speaks another version of the protocol. Load the page again.",
        reloads: true,
      };
    default:
      return { title: "The server refused the connection", text: sentence(reason) || `Its code is ${code}.` };
  }
}

function refusalOfToken(reason: string, hasToken: boolean): Refusal {
  if (!hasToken) {
    return {
      title: "This server is not open to everybody",
      text: "You need a link to come in. Ask whoever runs it, or shares a project on it with you.",
      asksForLink: true,
      tellsOwner: true,
    };
  }
  const another = { asksForLink: true };
  if (/revoked/.test(reason)) {
    const text = "An owner has taken back the link you came by. Ask for another one.";
    return { title: "Your link does not count any more", text, ...another };
  }
  if (/expired/.test(reason)) {
    const text = "The link or token you came by was good for a limited time. Ask for another one.";
    return { title: "Your time here is up", text, keepsPage: true, ...another };
  }
  if (/not valid yet/.test(reason)) {
    return { title: "Your token is not valid yet", text: "Try again later.", reloads: true, ...another };
  }
  return {
    title: "The server does not accept your link",
    text: sentence(reason) || "It is not valid.",
    tellsOwner: /printed at start/.test(reason),
    ...another,
  };
}

function sentence(reason: string): string {
  const text = reason.trim();
  if (text === "") return "";
  const begun = text[0]?.toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}
