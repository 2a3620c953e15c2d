// What the page has seen of each pool in the last minutes, also of a counter that ran before this one.

const KEPT = 600; // seconds
const SPANS = [60, 120, 300, KEPT];

/** The seconds that a chart shows: more as there is more to show. */
export function span(samples) {
  const age = samples.length ? samples.at(-1).at - samples[0].at : 0;
  return SPANS.find((seconds) => seconds >= age - 1) ?? KEPT;
}

/** Adds an event's samples to those of a pool; where both know a time, the event is right. */
export function extend(known, event, pool) {
  const fresh = event.samples.filter((sample) => pool in sample.pools).map((sample) => named(sample, event, pool));
  if (!fresh.length) return known;
  const newest = fresh.at(-1).at;
  return [...known.filter((sample) => sample.at < fresh[0].at), ...fresh].filter((sample) => sample.at > newest - KEPT);
}

function named(sample, event, pool) {
  const numbers = Object.fromEntries(event.columns.map((column, index) => [column, sample.pools[pool][index]]));
  return { at: sample.at, counter: event.counter, ...numbers };
}

/** Grants per second up to each sample, over the ten seconds before it. */
export function rates(samples, over = 10) {
  let grants = 0;
  let first = 0;
  return samples.map((sample, index) => {
    grants += index ? sample.grants : 0;
    while (sample.at - samples[first].at > over + 0.5) grants -= samples[++first].grants;
    const seconds = sample.at - samples[first].at;
    return seconds > 0 ? grants / seconds : 0;
  });
}

export const nearest = (samples, at) =>
  samples.reduce((best, sample) => (Math.abs(sample.at - at) <= Math.abs(best.at - at) ? sample : best), samples[0]);

/** The samples by minute of the clock, the newest first. */
export function minutes(samples) {
  const byMinute = new Map();
  for (const sample of samples) {
    const minute = Math.floor(sample.at / 60) * 60;
    byMinute.set(minute, [...(byMinute.get(minute) ?? []), sample]);
  }
  return [...byMinute].reverse();
}
