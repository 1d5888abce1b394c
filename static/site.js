// What every page has: copy buttons, live time left, menus that close, double clicks, the browser's time zone. Pages work without it.
document.documentElement.classList.add("js");

// The server shows times in this zone to whoever has not chosen one; it checks the name.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const zoneCookie = document.body.dataset.zoneCookie;
if (zone && !document.cookie.includes(`${zoneCookie}=${zone}`)) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `${zoneCookie}=${zone}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
}

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
  const button = event.target.closest("[data-copy]");
  if (button) copy(button);
});

// A second click on a button that acts is none while the first is under way; a page come back to may act again.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (Date.now() - Number(form.dataset.sent ?? 0) < 5000) event.preventDefault();
  else form.dataset.sent = Date.now();
});

addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const menu = event.target.closest("details.menu[open]");
  if (menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  const text = source.value ?? source.textContent;
  try {
    await navigator.clipboard.writeText(text.trim());
  } catch {
    select(source);
    if (!document.execCommand("copy")) return; // the text is selected: the user copies it
  }
  const label = button.querySelector("[data-label]");
  const before = label.textContent;
  label.textContent = button.dataset.copied;
  setTimeout(() => { label.textContent = before; }, 2000);
}

function select(element) {
  if (element.select) element.select();
  else getSelection().selectAllChildren(element);
}

function tick() {
  for (const element of document.querySelectorAll("[data-ends]")) {
    const left = Math.max(0, (Date.parse(element.dataset.ends) - Date.now()) / 1000);
    const bar = element.querySelector("progress");
    if (bar) bar.value = Math.min(left, bar.max);
    const text = element.querySelector("[data-left]");
    if (text) text.textContent = left > 0 ? duration(left, element) : element.dataset.over;
  }
}

// "2 d 3 h", the two largest units, as the server writes it; the units' names come from the page.
export function duration(seconds, { dataset }) {
  const [d, h, m, s] = dataset.units.split(",");
  const whole = Math.floor(seconds);
  const parts = [[Math.floor(whole / 86400), d], [Math.floor(whole / 3600) % 24, h], [Math.floor(whole / 60) % 60, m], [whole % 60, s]];
  const first = parts.findIndex(([count]) => count > 0);
  const shown = first < 0 ? [parts[3]] : parts.slice(first, first + 2).filter(([count]) => count > 0);
  return shown.map(([count, unit]) => `${count} ${unit}`).join(" ");
}

setInterval(tick, 1000);
