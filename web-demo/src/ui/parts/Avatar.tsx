import { hue, initials } from "../format.ts";
import "./avatar.css";

/** A participant's initials on a colour of their own. */
export function Avatar({ id, name, size = 26 }: { id: string; name: string; size?: number }) {
  const style = { "--hue": hue(id + name), width: size, height: size, fontSize: size * 0.38 };
  return (
    <span className="avatar" style={style as React.CSSProperties} aria-hidden="true">
      {initials(name)}
    </span>
  );
}
