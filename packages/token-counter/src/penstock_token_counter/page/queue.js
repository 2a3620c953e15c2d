// Who waits, app by app: the apps that matter most, and all of them on demand.

import { count, duration } from "./format.js";
import { fill, make, row, width } from "./dom.js";

const FEW = 6;

/** Returns a function that shows a pool's apps in its part of the page. */
export function queue(part) {
  const button = part.querySelector(".more button");
  const body = part.querySelector(".queue tbody");
  let status;

  button.addEventListener("click", () => {
    button.setAttribute("aria-expanded", String(!open()));
    draw();
  });
  const open = () => button.getAttribute("aria-expanded") === "true";

  function draw() {
    const shown = status.apps.slice(0, open() ? undefined : FEW);
    const most = Math.max(1, ...shown.map((app) => app.waiting));
    body.replaceChildren(...(shown.length ? shown.map((app) => appRow(app, most)) : [nobody()]));
    button.hidden = status.apps.length <= FEW;
    button.textContent = open() ? `Only the first ${FEW}` : `All ${count(status.apps.length)} apps`;
    const left = status.apps_total - status.apps.length;
    fill(part, { more: left > 0 ? `and ${count(left)} more, which GET /pools names` : "" });
  }

  return (now) => {
    status = now;
    draw();
  };
}

function appRow(app, most) {
  const oldest = app.waiting ? duration(app.oldest_wait_seconds) : "–";
  const made = row([app.app, count(app.waiting), oldest, count(app.granted_tokens)]);
  const bar = make("i", { className: "waits" });
  width(bar, app.waiting, most);
  made.firstElementChild.append(bar);
  return made;
}

function nobody() {
  const made = make("tr");
  made.append(make("td", { colSpan: 4, className: "nobody", textContent: "Nobody waits." }));
  return made;
}
