// One pool's part of the page.

import { area, boxes, line, scale, ticks } from "./chart.js";
import { facts, requests, rpm, states, tokens, tpm, used } from "./facts.js";
import { clock, count, duration, rate, share } from "./format.js";
import { queue } from "./queue.js";
import { minutes, nearest, rates, span } from "./samples.js";
import { fill, make, put, row, width } from "./dom.js";

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
  followPointer(slider, () => showMoment(true));
  part.querySelector(".depth").open = open;
  part.querySelector(".numbers").addEventListener("toggle", showMinutes);

  function show(status, known) {
    samples = known;
    showStates(part, status);
    showUse(part, status);
    fill(part, facts(status));
    showCharts(status);
    showMoment(false);
    showMinutes();
    showQueue(status);
  }

  function showCharts(status) {
    const pace = rates(samples);
    const most = { rate: Math.max(1, ...pace), waiting: Math.max(1, ...samples.map((sample) => sample.waiting)) };
    top = 1.12 * Math.max(status.tpm, ...samples.flatMap((sample) => [sample.tokens, sample.tpm + sample.unaccounted]));
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

  function showMoment(chosen) {
    if (!samples.length) return;
    const before = Number(slider.value);
    const sample = nearest(samples, samples.at(-1).at + before);
    const said = moment(sample);
    fill(part, { readout: said });
    if (chosen || !slider.matches(":focus")) slider.setAttribute("aria-valuetext", said); // or it is read out each second
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
  const theirs = (sample) => sample.tpm + sample.unaccounted;
  draw(part, ".chart .unaccounted", others ? area(samples, at, theirs, (sample) => sample.tpm) : "");
}

const draw = (part, path, d) => part.querySelector(path).setAttribute("d", d);

function showStates(part, status) {
  const list = part.querySelector(".states");
  const said = states(status);
  if (list.dataset.said === String(said)) return;
  list.dataset.said = said;
  list.replaceChildren(...said.map(([state, text]) => make("li", { className: state, textContent: text })));
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
