// What a status says, in the words of the page.

import { count, duration, rate } from "./format.js";

/** Returns what an operator should know first, as names of states and how to say them. */
export function states(status) {
  const found = [];
  if (status.store !== "none" && status.store !== "connected") found.push(["paused", `store ${status.store}`]);
  if (status.paused_seconds > 0) found.push(["paused", "paused"]);
  if (lowered(status)) found.push(["lowered", "limit lowered"]);
  if (status.unaccounted_tokens > 0) found.push(["unaccounted", "unaccounted use"]);
  if (status.waiting) found.push(["busy", "queue"]);
  return found.length ? found : [["calm", "no queue"]];
}

/** Whether Azure has less to give than is configured; what others take is another matter. */
const lowered = (status) => tpm(status) + status.unaccounted_tokens < status.tpm || rpm(status) < status.rpm;

export const tpm = (status) => status.effective_tpm;
export const rpm = (status) => status.effective_rpm;
export const tokens = (status) => status.used_tokens + status.locked_tokens;
export const requests = (status) => Math.max(0, rpm(status) - status.available_requests);

/** The part of the window that is used: of tokens or of requests, whichever is scarcer. */
export const used = (status) => Math.max(tokens(status) / tpm(status), requests(status) / rpm(status));

/** What is known of a pool beside its window, as texts by the name of their field. */
export const facts = (status) => ({
  http_429: refusals(status),
  limit: limit(status),
  unaccounted: `${count(status.unaccounted_tokens)} tokens`,
  pause: status.paused_seconds > 0 ? `${duration(status.paused_seconds)} left` : "none",
  bias: bias(status.bias),
  granted: `${count(status.granted)} requests`,
  unreported: `${count(status.unreported)} requests`,
  settle: settling(status),
  kept: kept(status),
});

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
  if (factor === 1) return "as Azure counts";
  return `${rate(Math.abs(100 * (factor - 1)))} % too ${factor > 1 ? "low" : "high"}, corrected`;
}

function kept(status) {
  if (status.store !== "none") return `in a store, ${status.store}`;
  return status.journal === "none" ? "in memory" : `in a journal, ${status.journal}`;
}

function settling(status) {
  const evidence = status.settling_evidence;
  const by = status.settle === "actual" ? "actual use" : "what was asked";
  if (!evidence) return `by ${by}`;
  const other = evidence.actual < evidence.judged ? "actual use" : "what was asked";
  return `by ${by}; ${count(evidence.observations)} answers fit ${other} better`;
}
