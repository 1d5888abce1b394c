// Buttons that fill in an amount.
const buttons = document.querySelectorAll("[data-preset]");

function show() {
  for (const button of buttons) {
    const field = document.getElementById(button.dataset.fills);
    button.setAttribute("aria-pressed", String(Number(field.value.replace(",", ".")) === Number(button.dataset.preset)));
  }
}

for (const button of buttons) {
  const field = document.getElementById(button.dataset.fills);
  button.addEventListener("click", () => {
    field.value = button.dataset.preset;
    show();
  });
  field.addEventListener("input", show);
}
addEventListener("pageshow", show); // on a return, the browser restores the amount
show();
// From now on, a click has an effect.
for (const group of document.querySelectorAll("[data-presets]")) group.hidden = false;
