// One pool's part of the page.

import { area, boxes, line, scale, ticks } from "./chart.js";
import { clock, count, duration, rate, share } from "./format.js";
import { queue } from "./queue.js";
import { minutes, nearest, rates, span } from "./samples.js";
import { fill, put, row, width } from "./dom.js";

/** Returns what an operator should know first, as names of states and how to say them. */
export function states(status) {
  const found = [];
  if (status.paused_seconds > 0) found.push(["paused", "paused"]);
  if (tpm(status) + status.unaccounted_tokens < status.tpm || rpm(status) < status.rpm) found.push(["lowered", "limit lowered"]);
  if (status.unaccounted_tokens > 0) found.push(["unaccounted", "unaccounted use"]);
  if (status.waiting) found.push(["busy", "queue"]);
  return found.length ? found : [["calm", "no queue"]];
}

const tpm = (status) => status.effective_tpm;
const rpm = (status) => status.effective_rpm;
const tokens = (status) => status.used_tokens + status.locked_tokens;
const requests = (status) => Math.max(0, rpm(status) - status.available_requests);

/** The part of the window that is used: of tokens or of requests, whichever is scarcer. */
export const used = (status) => Math.max(tokens(status) / tpm(status), requests(status) / rpm(status));

/** Makes the part of a pool; the function it returns shows how the pool stands. */
export function poolPart(name, template, { open }) {
  const part = template.content.firstElementChild.cloneNode(true);
  const slider = part.querySelector("input");
  const heading = part.querySelector("h2");
  const showQueue = queue(part);
  let samples = [];
  let top = 1;

  part.id = `pool-${name}`;
  heading.textContent = name;
  heading.id = `${part.id}-title`;
  part.setAttribute("aria-labelledby", heading.id);
  followPointer(slider, showMoment);
  part.querySelector(".depth").open = open;
  part.querySelector(".numbers").addEventListener("toggle", showMinutes);

  function show(status, known) {
    samples = known;
    showStates(part, status);
    showUse(part, status);
    showFacts(part, status);
    showCharts(status);
    showMoment();
    showMinutes();
    showQueue(status);
  }

  function showCharts(status) {
    const pace = rates(samples);
    const most = { rate: Math.max(1, ...pace), waiting: Math.max(1, ...samples.map((sample) => sample.waiting)) };
    top = 1.12 * Math.max(status.tpm, ...samples.map((sample) => Math.max(sample.tokens, sample.tpm + sample.unaccounted)));
    slider.min = -span(samples);
    drawWindow(part, samples, scale(samples, top));
    draw(part, ".grants .area", area(samples, scale(samples, most.rate), (_, index) => pace[index]));
    draw(part, ".waiting .area", area(samples, scale(samples, most.waiting), (sample) => sample.waiting));
    const label = part.querySelector(".limit-label");
    put(label, `${count(tpm(status))} per minute`);
    label.style.setProperty("--y", `${scale(samples, top).y(tpm(status))}%`);
    fill(part, {
      from: `${span(samples) / 60} min ago`,
      rate: rate(pace.at(-1) ?? 0),
      "rate-most": `most ${rate(Math.max(0, ...pace))}`,
      waiting: count(status.waiting),
      "waiting-most": `most ${count(Math.max(0, ...samples.map((sample) => sample.waiting)))}`,
    });
  }

  function showMoment() {
    if (!samples.length) return;
    const before = Number(slider.value);
    const sample = nearest(samples, samples.at(-1).at + before);
    const said = moment(sample);
    fill(part, { readout: said });
    if (slider.getAttribute("aria-valuetext") !== said && (before || !slider.matches(":focus"))) slider.setAttribute("aria-valuetext", said);
    draw(part, ".cursor", before ? `M${scale(samples, top).x(sample.at)} 0V100` : "");
  }

  function showMinutes() {
    const body = part.querySelector(".minutes tbody");
    if (!part.querySelector(".numbers").open) return;
    body.replaceChildren(...minutes(samples).map(([at, within]) => row([clock(at), ...minute(within)])));
  }

  return { part, show };
}

const moment = (sample) =>
  `${clock(sample.at)}: ${count(sample.tokens)} of ${count(sample.tpm)}, ${count(sample.waiting)} waiting`;

function minute(samples) {
  const most = (value) => count(Math.max(...samples.map(value)));
  const sum = (value) => count(samples.reduce((total, sample) => total + value(sample), 0));
  return [
    most((sample) => sample.tokens),
    count(Math.min(...samples.map((sample) => sample.tpm))),
    sum((sample) => sample.grants),
    most((sample) => sample.waiting),
    sum((sample) => sample.http_429),
  ];
}

function drawWindow(part, samples, at) {
  draw(part, ".chart .grid", `M0 ${at.y(0)}H600`);
  draw(part, ".chart .pause", boxes(samples, at, (sample) => sample.paused > 0));
  draw(part, ".chart .tokens", area(samples, at, (sample) => sample.tokens));
  draw(part, ".chart .tokens-line", line(samples, at, (sample) => sample.tokens));
  draw(part, ".chart .limit", line(samples, at, (sample) => sample.tpm));
  draw(part, ".chart .refusals", ticks(samples, at, (sample) => sample.http_429 > 0));
  const others = samples.some((sample) => sample.unaccounted > 0);
  draw(part, ".chart .unaccounted", others ? area(samples, at, (sample) => sample.tpm + sample.unaccounted, (sample) => sample.tpm) : "");
}

const draw = (part, path, d) => part.querySelector(path).setAttribute("d", d);

function showStates(part, status) {
  const list = part.querySelector(".states");
  const said = states(status);
  if (list.dataset.said === String(said)) return;
  list.dataset.said = said;
  list.replaceChildren(...said.map(([state, text]) => Object.assign(document.createElement("li"), { className: state, textContent: text })));
}

function showUse(part, status) {
  fill(part, {
    share: share(used(status)),
    tokens: count(tokens(status)),
    tpm: count(tpm(status)),
    requests: count(requests(status)),
    rpm: count(rpm(status)),
    parts: `${count(status.used_tokens)} reported, ${count(status.locked_tokens)} in flight`,
    reset: tokens(status) ? `the oldest leaves in ${duration(status.reset_time_seconds)}` : "the window is empty",
  });
  const [reported, locked] = part.querySelectorAll("[data-bar=tokens] i");
  width(reported, status.used_tokens, tpm(status));
  width(locked, status.locked_tokens, tpm(status));
  width(part.querySelector("[data-bar=requests] i"), requests(status), rpm(status));
}

function showFacts(part, status) {
  fill(part, {
    http_429: refusals(status),
    limit: limit(status),
    unaccounted: `${count(status.unaccounted_tokens)} tokens`,
    pause: status.paused_seconds > 0 ? `${duration(status.paused_seconds)} left` : "none",
    bias: bias(status.bias),
    granted: `${count(status.granted)} requests`,
    unreported: `${count(status.unreported)} requests`,
    settle: settling(status),
  });
}

function refusals(status) {
  const causes = Object.entries(status.http_429_by_cause).filter(([, number]) => number);
  const by = causes.map(([cause, number]) => `${cause} ${count(number)}`).join(", ");
  return count(status.http_429) + (by ? ` (${by})` : "");
}

function limit(status) {
  const of = (now, configured) => (now < configured ? `${count(now)} of ${count(configured)}` : count(now));
  return `${of(tpm(status), status.tpm)} tokens, ${of(rpm(status), status.rpm)} requests a minute`;
}

function bias(factor) {
  const percent = rate(Math.abs(100 * (factor - 1)));
  if (percent === rate(0) || Math.abs(factor - 1) < 0.0005) return "as Azure counts";
  return `${percent} % too ${factor > 1 ? "low" : "high"}, corrected`;
}

function settling(status) {
  const evidence = status.settling_evidence;
  const by = status.settle === "actual" ? "actual use" : "what was asked";
  if (!evidence) return `by ${by}`;
  const other = evidence.actual < evidence.judged ? "actual use" : "what was asked";
  return `by ${by}; ${count(evidence.observations)} answers fit ${other} better`;
}

/** Lets the pointer choose the moment that the slider chooses for keys. */
function followPointer(slider, changed) {
  const back = () => {
    slider.value = 0;
    changed();
  };
  slider.addEventListener("input", changed);
  slider.addEventListener("pointermove", (event) => {
    const box = slider.getBoundingClientRect();
    slider.value = Math.round(((event.clientX - box.left) / box.width - 1) * -slider.min);
    changed();
  });
  slider.addEventListener("pointerleave", back);
  slider.addEventListener("keydown", (event) => event.key === "Escape" && back());
}
