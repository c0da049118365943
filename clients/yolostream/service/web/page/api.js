// Requests of the page to the API. Every error is a ServiceError with a message for people.

import { sentence } from "./words.js";

const TIMEOUT_MS = 8000;
const ROOT = new URL("api/v1/", document.baseURI);

export class ServiceError extends Error {
  constructor(status, message) {
    super(message);
    // HTTP status; 0 without a response.
    this.status = status;
  }
}

export const cameras = () => request("GET", "cameras");
export const overview = () => request("GET", "service");
export const putCamera = (name, settings) => request("PUT", `cameras/${encodeURIComponent(name)}`, settings);
export const changeCamera = (name, settings) => request("PATCH", `cameras/${encodeURIComponent(name)}`, settings);
export const removeCamera = (name) => request("DELETE", `cameras/${encodeURIComponent(name)}`);
export const camera = (name) => request("GET", `cameras/${encodeURIComponent(name)}`);
export const probe = (source) => request("POST", "probe", source, 40_000);
export const logIn = (token) => request("POST", "session", { token });

export const streamUrl = (name) => new URL(`cameras/${encodeURIComponent(name)}/stream.mjpeg`, ROOT).href;
export const pictureUrl = (name) => new URL(`cameras/${encodeURIComponent(name)}/frame.jpg?${Date.now()}`, ROOT).href;

export function liveUrl() {
  const url = new URL("live", ROOT);
  url.protocol = url.protocol.replace("http", "ws");
  return url.href;
}

async function request(method, path, body, timeoutMs = TIMEOUT_MS) {
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
  if (!response.ok) throw new ServiceError(response.status, messageOf(answer, response));
  return answer;
}

function messageOf(problem, response) {
  const detail = typeof problem?.detail === "string" ? problem.detail : response.statusText;
  return [detail, problem?.fix].filter(Boolean).map(sentence).join(" ") || `Status ${response.status}.`;
}
