import { Gauge } from "lucide-react";
import { count } from "../format.ts";
import { Menu } from "../parts/Menu.tsx";
import { useView } from "../room.ts";
import { answerersOf } from "../select.ts";
import { isFree, totalWords, usageParts } from "./usage.ts";
import "./usage.css";

/** From here on the window's filling is worth a look without being asked for. */
const FULL_FROM = 0.8;

/** What the project has cost so far, and how full the model's window was. */
export function UsageMenu() {
  const total = useView((view) => view.state.usage);
  const fill = useView((view) => view.contextFill);
  const free = useView(({ state }) => state.usage && isFree(state.usage, answerersOf(state)));
  if (!total || total.calls === 0 || free) return null;
  const isFull = fill !== undefined && fill >= FULL_FROM;
  const words = totalWords(total);
  return (
    <Menu
      className={isFull ? "model-button notice" : "model-button"}
      label={`This project: ${words}. Show what was consumed`}
      testId="usage"
      up
      button={
        <>
          <Gauge size={13} aria-hidden="true" />
          <span>{isFull ? `${Math.round(fill * 100)} % full` : words}</span>
        </>
      }
    >
      {() => (
        <div className="usage-panel">
          <h2>This project</h2>
          <table>
            <tbody>
              <tr>
                <th scope="row">Cost</th>
                <td>{words}</td>
              </tr>
              <tr>
                <th scope="row">Calls of a model</th>
                <td>{total.calls}</td>
              </tr>
              {total.calls_of_unknown_cost > 0 && (
                <tr>
                  <th scope="row">of that, of unknown cost</th>
                  <td>{total.calls_of_unknown_cost}</td>
                </tr>
              )}
              {usageParts(total.usage).map(([name, tokens]) => (
                <tr key={name}>
                  <th scope="row">{name}</th>
                  <td>{count(tokens, "token")}</td>
                </tr>
              ))}
            </tbody>
          </table>
          {fill !== undefined && (
            <label className="usage-fill">
              <span>The last call filled {Math.round(fill * 100)} % of the model’s window</span>
              <meter min={0} max={1} high={FULL_FROM} value={Math.min(1, fill)} />
            </label>
          )}
          {total.usage.prices_as_of && <p className="soft">Prices as of {total.usage.prices_as_of}.</p>}
        </div>
      )}
    </Menu>
  );
}
