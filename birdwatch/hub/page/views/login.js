// Signing in: one password for the hub.

import { send } from "../api.js";
import { el, mark, replace } from "../dom.js";
import { loadSession } from "../state.js";

export function show(main, done) {
  const problem = el("p", { class: "problem", role: "alert" });
  const password = el("input", { type: "password", name: "password", autocomplete: "current-password", required: true, "aria-label": "Password" });
  const button = el("button", { class: "button primary", type: "submit" }, "Sign in");
  const form = el("form", {
    class: "login",
    onsubmit: async (event) => {
      event.preventDefault();
      button.disabled = true;
      problem.textContent = "";
      try {
        await loadSession();
        await send("POST", "login", { password: password.value });
        await done();
      } catch (error) {
        problem.textContent = error.message;
        password.select();
      } finally {
        button.disabled = false;
      }
    },
  }, mark(), el("h1", {}, "birdwatch"), el("p", { class: "note" }, "This hub asks for its password."), el("label", { class: "field" }, el("span", {}, "Password"), password), problem, button);
  replace(main, form);
  password.focus();
}
