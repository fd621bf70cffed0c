import { useMemo, useState } from "react";
import type { Participant } from "../../protocol.ts";
import { NAME_LENGTH_MAX } from "../identity.ts";
import { Avatar } from "../parts/Avatar.tsx";
import { Menu } from "../parts/Menu.tsx";
import { useRoom, useView } from "../room.ts";

/** As many faces as fit the bar; the others are counted. */
const FACES_MAX = 4;

/** Who is in the room, and the name to go by. */
export function People() {
  const participants = useView((view) => view.state.participants);
  const me = useView((view) => view.welcome?.participant);
  const present = useMemo(() => sorted(participants, me), [participants, me]);
  const first = present[0];
  if (!first) return null;
  const faces = present.slice(0, FACES_MAX);
  return (
    <Menu
      className="people"
      label={`In the room: ${present.map((person) => person.name).join(", ")}`}
      testId="people"
      button={
        <>
          {faces.map((person) => (
            <Avatar key={person.participant} id={person.participant} name={person.name} />
          ))}
          {present.length > FACES_MAX && <span className="people-more">+{present.length - FACES_MAX}</span>}
        </>
      }
    >
      {(close) => (
        <div className="people-panel">
          <h2>In the room</h2>
          <ul className="people-list">
            {present.map((person) => (
              <li key={person.participant}>
                <Avatar id={person.participant} name={person.name} />
                <span className="truncate">{person.name}</span>
                <span className="people-role">{person.participant === me ? "you" : person.role}</span>
              </li>
            ))}
          </ul>
          {first.participant === me && <Rename name={first.name} onDone={close} />}
        </div>
      )}
    </Menu>
  );
}

function Rename({ name, onDone }: { name: string; onDone: () => void }) {
  const room = useRoom();
  const [text, setText] = useState(name);
  const isChanged = text.trim() !== "" && text.trim() !== name;
  return (
    <form
      className="rename"
      onSubmit={(event) => {
        event.preventDefault();
        if (isChanged) room.rename(text.trim());
        onDone();
      }}
    >
      <label htmlFor="my-name">Your name</label>
      <input
        id="my-name"
        value={text}
        maxLength={NAME_LENGTH_MAX}
        onChange={(event) => setText(event.target.value)}
      />
      <button type="submit" className="button small" disabled={!isChanged}>
        Save
      </button>
    </form>
  );
}

/** Those who are here: oneself first, the others by name. */
function sorted(participants: { [id: string]: Participant }, me: string | undefined): Participant[] {
  const present = Object.values(participants).filter((person) => person.present);
  const rank = (person: Participant) => (person.participant === me ? 0 : 1);
  return present.toSorted((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
}
