// One sound at a time; the line over its picture is where it is.

import { clipOf } from "./api.js";
import { say } from "./notices.js";

const audio = new Audio();
let button = null;

function follow() {
  if (!button) return;
  const part = audio.duration ? audio.currentTime / audio.duration : 0;
  button.style.setProperty("--played", (100 * part).toFixed(2) + "%");
  requestAnimationFrame(follow);
}

export function stop() {
  audio.pause();
  if (!button) return;
  button.classList.remove("playing");
  button.setAttribute("aria-pressed", "false");
  button = null;
}

export const isPlaying = (other) => button === other;

export async function play(event, other) {
  const again = button === other;
  stop();
  if (again) return;
  button = other;
  button.classList.add("playing");
  button.setAttribute("aria-pressed", "true");
  audio.src = clipOf(event);
  try {
    await audio.play();
    follow();
  } catch (fault) {
    if (fault.name !== "AbortError") say(fault.name === "NotAllowedError" ? "The browser wants a tap before it plays sound." : "This sound is no longer kept.", "bad");
    stop();
  }
}

audio.addEventListener("ended", stop);
