// What a page lacks for those who cannot see it, or see little of it: a list of problems.
(() => {
  const problems = [];
  const shown = (element) => {
    const style = getComputedStyle(element);
    return style.visibility !== "hidden" && style.display !== "none" && element.getClientRects().length > 0;
  };
  const name = (element) =>
    (element.getAttribute("aria-label") || element.innerText || element.value || element.title || "").trim();
  const told = (element) => element.outerHTML.slice(0, 90);
  const expect = (is, what) => { if (!is) problems.push(what); };

  expect(document.documentElement.lang, "no language");
  expect(document.title.trim(), "no title");
  expect(document.querySelectorAll("main").length === 1, "not one main");
  expect(document.querySelectorAll("h1").length === 1, "not one h1");
  expect(document.querySelector("header nav[aria-label]"), "no named navigation");
  expect(document.querySelector("a.skip[href='#main']"), "no way past the navigation");
  expect(document.documentElement.scrollWidth <= innerWidth, "wider than the screen");
  const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
  expect(new Set(ids).size === ids.length, "an id twice");
  let level = 0;
  for (const heading of document.querySelectorAll("h1, h2, h3, h4")) {
    const now = Number(heading.tagName[1]);
    expect(now <= level + 1, `a level of headings is left out: ${told(heading)}`);
    level = now;
  }
  for (const field of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
    expect(field.labels.length || field.getAttribute("aria-label"), `no label: ${told(field)}`);
  }
  for (const one of document.querySelectorAll("a[href], button")) {
    expect(name(one), `no name: ${told(one)}`);
  }
  for (const one of document.querySelectorAll("iframe")) expect(one.title, `no title: ${told(one)}`);
  for (const one of document.querySelectorAll("th")) expect(one.scope, `no scope: ${told(one)}`);
  for (const one of document.querySelectorAll("[tabindex]")) {
    expect(Number(one.tabIndex) <= 0, `an order of its own: ${told(one)}`);
  }

  // Contrast, as WCAG 2.1 has it (1.4.3).
  const parsed = (color) => color.match(/[\d.]+/g).map(Number);
  const light = ([red, green, blue]) => {
    const linear = [red, green, blue].map((one) => {
      const part = one / 255;
      return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const ground = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const color = parsed(getComputedStyle(one).backgroundColor);
      if (color.length < 4 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !shown(element) || element.closest(".hidden, .skip, script, option")) continue;
    const style = getComputedStyle(element);
    const [one, other] = [light(parsed(style.color)), light(ground(element))];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    expect(contrast >= (isLarge ? 3 : 4.5), `contrast ${contrast.toFixed(2)}: ${told(element)}`);
  }
  return [...new Set(problems)];
})()
