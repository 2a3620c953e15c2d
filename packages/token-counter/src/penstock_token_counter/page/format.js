// How numbers, shares and times are written.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const two = "2-digit";
const times = new Intl.DateTimeFormat("en", { hour: two, minute: two, second: two, hourCycle: "h23" });

export const count = (number) => whole.format(number);
export const rate = (number) => (number > 0 && number < 100 ? tenths : whole).format(number);
export const clock = (seconds) => times.format(seconds * 1000);

/** A share is full only when nothing is free. */
export const share = (part) => `${count(Math.floor(100 * part))} %`;

export function duration(seconds) {
  if (seconds < 10) return `${tenths.format(seconds)} s`;
  if (seconds < 120) return `${whole.format(seconds)} s`;
  return `${whole.format(seconds / 60)} min`;
}
