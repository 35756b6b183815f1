"use strict";
// One sound at a time; the line over the picture is where it is.
const audio = new Audio();
let on = null;
function stop() {
  audio.pause();
  if (on) { on.classList.remove("on"); on.setAttribute("aria-pressed", "false"); on = null; }
}
function follow() {
  if (!on) return;
  const part = audio.duration ? audio.currentTime / audio.duration : 0;
  on.querySelector(".head-line").style.left = (100 * part).toFixed(2) + "%";
  requestAnimationFrame(follow);
}
audio.addEventListener("ended", stop);
document.addEventListener("click", (event) => {
  const button = event.target.closest(".play");
  if (!button) return;
  const again = button === on;
  stop();
  if (again) return;
  on = button;
  on.classList.add("on");
  on.setAttribute("aria-pressed", "true");
  audio.src = button.dataset.sound;
  audio.play().then(follow, stop);
});
const list = document.querySelector("#birds");
if (list) {
  const cards = [...list.children];
  const find = document.querySelector("#find");
  const sort = document.querySelector("#sort");
  const nothing = document.querySelector("#nothing");
  find.addEventListener("input", () => {
    const words = find.value.trim().toLowerCase();
    let shown = 0;
    for (const card of cards) { card.hidden = !card.dataset.words.includes(words); shown += !card.hidden; }
    nothing.hidden = shown > 0;
  });
  sort.addEventListener("change", () => {
    const key = sort.value;
    const order = [...cards].sort((a, b) =>
      key === "name" ? a.dataset.name.localeCompare(b.dataset.name) : b.dataset[key] - a.dataset[key]);
    list.append(...order);
  });
}
