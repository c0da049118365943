// How the page says things.

const STATES = {
  live: ["live", "good", "good"],
  connecting: ["connecting", "busy", "busy"],
  waiting: ["waiting", "busy", "busy"],
  running: ["live", "good", "good"],
  stale: ["no pictures", "bad", "bad"],
  backoff: ["away", "bad", "bad"],
  auth_failed: ["login refused", "bad", "lock"],
  unsupported: ["not playable", "bad", "bad"],
  failed: ["failed", "bad", "bad"],
  ended: ["ended", "quiet", "pause"],
  disabled: ["paused", "quiet", "pause"],
  elsewhere: ["elsewhere", "quiet", "good"],
};

// Word, tone and icon of a camera's state.
export function stateOf(camera) {
  const isAgain = ["connecting", "waiting"].includes(camera.state) && camera.away_since;
  const [said, tone, icon] = (isAgain ? STATES.backoff : STATES[camera.state]) ?? [camera.state, "busy", "busy"];
  const word = camera.state === "elsewhere" ? `on ${camera.instance}` : said;
  return { word, tone, icon };
}

export const isAway = (camera) => !["live", "running"].includes(camera.state);

// What stands on the picture of a camera that shows nothing: its headline and what happens next.
export function absenceOf(camera, nowS = Date.now() / 1000) {
  if (camera.state === "disabled") return ["Paused", ""];
  if (camera.state === "elsewhere") return [`On ${camera.instance}`, "open the page of that instance to see it"];
  if (!camera.away_since) return [camera.state === "connecting" ? "Connecting" : "Waiting for a picture", ""];
  const left = Math.ceil((camera.retry_at ?? nowS) - nowS);
  const next = camera.retry_at ? `tried again ${left > 0 ? `in ${duration(left)}` : "now"}` : "being tried again";
  return [`Away since ${time(camera.away_since)}`, next];
}

export function duration(seconds) {
  if (seconds < 120) return `${seconds} s`;
  return `${Math.round(seconds / 60)} min`;
}

function time(unixS) {
  const date = new Date(unixS * 1000);
  const isToday = date.toDateString() === new Date().toDateString();
  const clock = date.toLocaleTimeString([], { hourCycle: "h23" });
  return isToday ? clock : `${date.toLocaleDateString([], { dateStyle: "medium" })}, ${clock}`;
}

export const age = (seconds) =>
  seconds == null ? ["–", "ms"] : seconds < 10 ? [Math.round(seconds * 1000), "ms"] : [seconds.toFixed(0), "s"];

export const count = (number, one, several = `${one}s`) => `${number} ${number === 1 ? one : several}`;

export function summary(cameras) {
  if (!cameras.length) return "";
  const live = cameras.filter((camera) => camera.state === "live" || camera.state === "running").length;
  const paused = cameras.filter((camera) => camera.state === "disabled").length;
  const elsewhere = cameras.filter((camera) => camera.state === "elsewhere").length;
  const away = cameras.length - live - paused - elsewhere;
  const objects = cameras.reduce((sum, camera) => sum + (isAway(camera) ? 0 : camera.objects), 0);
  return [
    `${live} live`,
    away && `${away} away`,
    paused && `${paused} paused`,
    elsewhere && `${elsewhere} elsewhere`,
    count(objects, "object"),
  ].filter(Boolean).join(" · ");
}

// What a camera sends, such as "H264, 1280 × 720, 25 frames a second".
export const sent = ({ codec, width, height, frames_per_second: rate }) =>
  `${codec.toUpperCase()}, ${width} × ${height}, ${Math.round(rate * 100) / 100} frames a second`;

const PROBE_ERRORS = {
  auth_failed: "It refuses this user and password.",
  not_found: "There is nothing at this address.",
  unsupported: "What it sends cannot be played.",
  timeout: "It does not answer.",
  refused: "Nothing listens there.",
  unreadable: "It cannot be read.",
};

export const notSent = ({ kind, message }) => [PROBE_ERRORS[kind], message].filter(Boolean).map(sentence).join(" ");

export function sentence(words) {
  const begun = words.charAt(0).toUpperCase() + words.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}
