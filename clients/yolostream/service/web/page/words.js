// Texts of the page.

// Word, tone and icon of each state.
const STATES = {
  live: ["live", "good", "good"],
  connecting: ["connecting", "busy", "busy"],
  waiting: ["waiting", "busy", "busy"],
  running: ["live", "good", "good"],
  stale: ["no pictures", "bad", "bad"],
  backoff: ["away", "bad", "bad"],
  auth_failed: ["login refused", "bad", "lock"],
  unsupported: ["unsupported", "bad", "bad"],
  failed: ["failed", "bad", "bad"],
  ended: ["ended", "quiet", "pause"],
  disabled: ["paused", "quiet", "pause"],
  elsewhere: ["elsewhere", "quiet", "good"],
};

// Word, tone and icon of a camera's state.
export function stateOf(camera) {
  const isRetry = ["connecting", "waiting"].includes(camera.state) && camera.away_since;
  const [name, tone, icon] = (isRetry ? STATES.backoff : STATES[camera.state]) ?? [camera.state, "busy", "busy"];
  const word = camera.state === "elsewhere" ? `on ${camera.instance}` : name;
  return { word, tone, icon };
}

export const isAway = (camera) => !["live", "running"].includes(camera.state);

// The text over the picture of a camera without video: its headline, and what happens next.
export function absenceOf(camera, nowS = Date.now() / 1000) {
  if (camera.state === "disabled") return ["Paused", ""];
  if (camera.state === "elsewhere") return [`On ${camera.instance}`, "Its video is on the page of that instance."];
  if (!camera.away_since) return [camera.state === "connecting" ? "Connecting" : "Waiting for a picture", ""];
  const left = Math.ceil((camera.retry_at ?? nowS) - nowS);
  const next = left > 0 ? `The next attempt is in ${duration(left)}.` : "The next attempt is under way.";
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

// The video of a camera, such as "H264, 1280 × 720, 25 frames a second".
export const videoWords = ({ codec, width, height, frames_per_second: rate }) =>
  `${codec.toUpperCase()}, ${width} × ${height}, ${Math.round(rate * 100) / 100} frames a second`;

const PROBE_ERRORS = {
  auth_failed: "The camera rejects this user and password.",
  not_found: "There is no video at this address.",
  unsupported: "The video of the camera cannot be decoded.",
  timeout: "The camera does not answer.",
  refused: "The connection was refused.",
  unreadable: "The video of the camera cannot be read.",
};

export const probeErrorWords = ({ kind, message }) => [PROBE_ERRORS[kind], message].filter(Boolean).map(sentence).join(" ");

export function sentence(words) {
  const capitalized = words.charAt(0).toUpperCase() + words.slice(1);
  return /[.!?]$/.test(capitalized) ? capitalized : `${capitalized}.`;
}
