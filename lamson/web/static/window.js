// A page that is old says so; one that nobody is busy in shows what is new by itself.
"use strict";
(function () {
  const fresh = document.getElementById("fresh");
  const state = document.getElementById("state");
  if (!fresh || !state) return;
  fresh.querySelector("a").href = location.href;
  const shows = ["/", "/with", "/errors"].includes(location.pathname) && !document.querySelector("#main form.letter");
  const mark = document.body.dataset.mark;
  let left = 0; // when another page was asked for: to show this one anew would call that off
  addEventListener("beforeunload", () => { left = Date.now(); });
  const isBusy = () => {
    const active = document.activeElement;
    const isElsewhere = active && active !== document.body && active.id !== "main"; // the keyboard
    return isElsewhere || String(getSelection()) !== "" || Date.now() - left < 60000;
  };
  async function look() {
    if (!document.hidden) {
      try {
        const answer = await fetch("/pulse", { headers: { Accept: "application/json" } });
        const pulse = await answer.json();
        if (state.textContent !== pulse.state) state.textContent = pulse.state;
        if (mark !== pulse.mark) {
          if (shows && !isBusy()) { location.reload(); return; }
          fresh.hidden = false;
        }
      } catch (error) {
        state.textContent = "The window does not answer: is lamson dev running?";
      }
    }
    setTimeout(look, 1000);
  }
  look();
})();
