// The hub's API. All addresses are relative, so that the page works behind any prefix of a reverse proxy.

const BASE = "api/v1/";
let csrf = "";

export class ApiError extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export const address = (path) => BASE + path;
export const clipOf = (event) => address(`events/${encodeURIComponent(event.id)}/clip`);
export const pictureOf = (id) => address(`events/${encodeURIComponent(id)}/picture`);

export function query(values) {
  const kept = Object.entries(values).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return kept.length ? "?" + new URLSearchParams(kept) : "";
}

// quiet: who is not signed in is not asked to.
async function ask(path, { quiet = false, ...options }) {
  let answer;
  try {
    answer = await fetch(BASE + path, { credentials: "same-origin", ...options });
  } catch (fault) {
    if (fault.name === "AbortError") throw fault;
    throw new ApiError(0, "The hub does not answer. Is it running, and is this device on its network?");
  }
  if (answer.status === 204) return null;
  const text = await answer.text();
  let body;
  try {
    body = text ? JSON.parse(text) : null;
  } catch {
    throw new ApiError(answer.status, `The hub answered ${answer.status} with something that is not JSON.`);
  }
  if (!answer.ok) {
    const detail = body && typeof body.detail === "string" ? body.detail : `The hub answered ${answer.status}.`;
    if (answer.status === 401 && path !== "login" && !quiet) document.dispatchEvent(new Event("signed-out"));
    throw new ApiError(answer.status, detail);
  }
  return body;
}

export const get = (path, values = {}, options = {}) => ask(path + query(values), options);

export const send = (method, path, body = undefined) =>
  ask(path, {
    method,
    headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf },
    body: body === undefined ? undefined : JSON.stringify(body),
  });

export async function session() {
  const found = await get("session");
  csrf = found.csrf || "";
  return found;
}
