// A page that is old says so; one that nobody types in shows what is new by itself.
"use strict";
(function () {
  const fresh = document.getElementById("fresh");
  const state = document.getElementById("state");
  if (!fresh || !state) return;
  fresh.querySelector("a").href = location.href;
  const shows = ["/", "/with", "/errors"].includes(location.pathname) && !document.querySelector("#main form.letter");
  const mark = document.body.dataset.mark;
  async function look() {
    if (!document.hidden) {
      try {
        const answer = await fetch("/pulse", { headers: { Accept: "application/json" } });
        const pulse = await answer.json();
        if (state.textContent !== pulse.state) state.textContent = pulse.state;
        if (mark !== pulse.mark) {
          const typing = document.activeElement && /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
          if (shows && !typing) { location.reload(); return; }
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
