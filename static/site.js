// The script of every page: copy buttons, countdowns, menus, double clicks, and the browser's time zone.
// All pages work without it.
document.documentElement.classList.add("js");

// The server shows times in this zone, unless the user has chosen another one. It validates the name.
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

// Ignore a second click on a button while the first request is running. After a return to the page, it works again.
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
    if (!document.execCommand("copy")) return; // the text is selected, so that the user can copy it
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

// Return the two largest units, such as "2 d 3 h", in the form that the server uses. The page has the names of the units.
export function duration(seconds, { dataset }) {
  const [d, h, m, s] = dataset.units.split(",");
  const whole = Math.floor(seconds);
  const parts = [[Math.floor(whole / 86400), d], [Math.floor(whole / 3600) % 24, h], [Math.floor(whole / 60) % 60, m], [whole % 60, s]];
  const first = parts.findIndex(([count]) => count > 0);
  const shown = first < 0 ? [parts[3]] : parts.slice(first, first + 2).filter(([count]) => count > 0);
  return shown.map(([count, unit]) => `${count} ${unit}`).join(" ");
}

setInterval(tick, 1000);
