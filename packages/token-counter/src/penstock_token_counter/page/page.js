// The live page: follows the counter's events, and shows each pool.

import { clock, count, rate, share } from "./format.js";
import { fill, make, put, row, width } from "./dom.js";
import { states, used } from "./facts.js";
import { poolPart } from "./pool.js";
import { extend, rates } from "./samples.js";
import { follow } from "./stream.js";

const FEW = 4; // pools that are shown in full at first
const ALARMS = new Set(["paused", "lowered"]);
const element = (id) => document.getElementById(id);
const parts = new Map();
const samples = new Map();
const alarms = new Map();
let lastSeen;

follow("events", { onEvent: show, onLost: lose });

function show(event) {
  lastSeen = event.samples.at(-1)?.at ?? lastSeen;
  for (const status of event.pools) {
    samples.set(status.pool, extend(samples.get(status.pool) ?? [], event, status.pool));
    partOf(status.pool, event.pools.length).show(status, samples.get(status.pool));
    announce(status);
  }
  forget(new Set(event.pools.map((status) => status.pool)));
  showOverview(event.pools);
  say("live", "Live");
  const waiting = event.pools.reduce((sum, status) => sum + status.waiting, 0);
  document.title = waiting ? `${count(waiting)} waiting · Token counter` : "Token counter";
}

function lose(reason) {
  const from = lastSeen === undefined ? "" : ` What you see is from ${clock(lastSeen)}.`;
  say("lost", `${reason}: trying again.${from}`);
  document.title = "Connection lost · Token counter";
}

function say(state, text) {
  document.body.dataset.state = state;
  put(element("connection"), text);
}

function partOf(pool, pools) {
  if (!parts.has(pool)) {
    parts.set(pool, poolPart(pool, element("pool-template"), { open: pools <= FEW }));
    element("pools").append(parts.get(pool).part);
  }
  return parts.get(pool);
}

/** Drops pools that a counter, started anew, does not have any more. */
function forget(present) {
  for (const [pool, { part }] of parts) {
    if (present.has(pool)) continue;
    part.remove();
    parts.delete(pool);
    samples.delete(pool);
  }
}

/** Tells those who listen what they would want to be told: a pause or a lowered limit that begins or ends. */
function announce(status) {
  const alarming = states(status).filter(([state]) => ALARMS.has(state));
  const alarm = alarming.map(([, text]) => text).join(", ");
  const before = alarms.get(status.pool) ?? "";
  alarms.set(status.pool, alarm);
  if (alarm !== before) put(element("announcements"), `${status.pool}: ${alarm || "as configured again"}`);
}

function showOverview(pools) {
  const overview = element("overview");
  overview.hidden = pools.length < 2;
  const body = overview.querySelector("tbody");
  const names = pools.map((status) => status.pool).join("/");
  if (body.dataset.pools !== names) {
    body.dataset.pools = names;
    body.replaceChildren(...pools.map(overviewRow));
  }
  pools.forEach((status, index) => fillOverview(body.children[index], status));
}

/** A row that stays as long as the pools do, so that the focus stays on its link. */
function overviewRow(status) {
  const made = row(["", "", "", "", "", ""]);
  const link = make("a", { href: `#pool-${status.pool}`, textContent: status.pool });
  made.children[0].append(link);
  const [, use, ...others] = made.children;
  const bar = make("div", { className: "bar", ariaHidden: "true" });
  bar.append(make("i"));
  const text = make("span");
  text.dataset.field = "used";
  use.className = "used";
  use.append(text, bar);
  ["waits", "rate", "429s", "state"].forEach((field, index) => (others[index].dataset.field = field));
  for (const spare of others.slice(1, 3)) spare.classList.add("spare");
  others.at(-1).className = "";
  return made;
}

function fillOverview(line, status) {
  fill(line, {
    used: share(used(status)),
    waits: count(status.waiting),
    rate: rate(rates(samples.get(status.pool)).at(-1) ?? 0),
    "429s": count(status.http_429),
    state: states(status).map(([, text]) => text).join(", "),
  });
  width(line.querySelector(".bar i"), used(status), 1);
}
