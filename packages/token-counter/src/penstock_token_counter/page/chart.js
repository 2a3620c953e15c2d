// Samples as SVG paths, in a box of 600 by 100 that CSS stretches.

import { span } from "./samples.js";

const WIDTH = 600;
const HEIGHT = 100;
const GAP = 5; // seconds without a sample that are drawn as nothing
const round = (number) => Math.round(number * 100) / 100;

/** Returns where times and values are drawn. */
export function scale(samples, top) {
  const now = samples.at(-1)?.at ?? 0;
  const second = WIDTH / span(samples);
  return {
    second,
    x: (at) => round(Math.max(0, WIDTH - second * (now - at))),
    y: (value) => round(HEIGHT - (HEIGHT * Math.min(value, top)) / Math.max(1, top)),
  };
}

/** Cuts samples where the counter was silent. */
function stretches(samples) {
  const cut = [];
  samples.forEach((sample, index) => {
    if (!index || sample.at - samples[index - 1].at > GAP) cut.push([]);
    cut.at(-1).push({ sample, index });
  });
  return cut;
}

/** A line through the value of each sample. */
export function line(samples, { x, y }, value) {
  return stretches(samples)
    .map((stretch) => "M" + stretch.map(({ sample, index }) => `${x(sample.at)} ${y(value(sample, index))}`).join("L"))
    .join("");
}

/** The area between two values of each sample. */
export function area(samples, { x, y }, value, base = () => 0) {
  const point = (of) => ({ sample, index }) => `${x(sample.at)} ${y(of(sample, index))}`;
  return stretches(samples)
    .map((stretch) => `M${[...stretch.map(point(value)), ...stretch.map(point(base)).reverse()].join("L")}Z`)
    .join("");
}

/** A box of full height for each second in which something held. */
export function boxes(samples, { x, second }, holds) {
  return samples
    .filter(holds)
    .map((sample) => `M${x(sample.at)} 0h${round(-1.1 * second)}v${HEIGHT}H${x(sample.at)}z`)
    .join("");
}

/** A tick at the foot for each second in which something happened. */
export const ticks = (samples, { x }, happened) =>
  samples
    .filter(happened)
    .map((sample) => `M${x(sample.at)} ${HEIGHT}V${HEIGHT - 12}`)
    .join("");
