// What the page asks the service. Every error is a ServiceError with words for people.

import { sentence } from "./words.js";

const TIMEOUT_MS = 8000;
const ROOT = new URL("api/v1/", document.baseURI);

export class ServiceError extends Error {
  constructor(status, words) {
    super(words);
    // 0: no answer came.
    this.status = status;
  }
}

export const cameras = () => ask("GET", "cameras");
export const overview = () => ask("GET", "service");
export const putCamera = (name, settings) => ask("PUT", `cameras/${encodeURIComponent(name)}`, settings);
export const changeCamera = (name, settings) => ask("PATCH", `cameras/${encodeURIComponent(name)}`, settings);
export const removeCamera = (name) => ask("DELETE", `cameras/${encodeURIComponent(name)}`);
export const camera = (name) => ask("GET", `cameras/${encodeURIComponent(name)}`);
export const probe = (source) => ask("POST", "probe", source, 40_000);
export const logIn = (token) => ask("POST", "session", { token });

export const streamUrl = (name) => new URL(`cameras/${encodeURIComponent(name)}/stream.mjpeg`, ROOT).href;
export const pictureUrl = (name) => new URL(`cameras/${encodeURIComponent(name)}/frame.jpg?${Date.now()}`, ROOT).href;

export function liveUrl() {
  const url = new URL("live", ROOT);
  url.protocol = url.protocol.replace("http", "ws");
  return url.href;
}

async function ask(method, path, body, timeoutMs = TIMEOUT_MS) {
  let response;
  try {
    response = await fetch(new URL(path, ROOT), {
      method,
      cache: "no-store",
      signal: AbortSignal.timeout(timeoutMs),
      ...(body && { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }),
    });
  } catch {
    throw new ServiceError(0, "The service does not answer.");
  }
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw new ServiceError(response.status, wordsOf(answer, response));
  return answer;
}

function wordsOf(problem, response) {
  const detail = typeof problem?.detail === "string" ? problem.detail : response.statusText;
  return [detail, problem?.fix].filter(Boolean).map(sentence).join(" ") || `Status ${response.status}.`;
}
