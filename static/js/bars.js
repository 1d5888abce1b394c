// Draws the bars of <canvas data-bars="id">: labels and values come from the JSON script with that id.
// Modules run after the deferred script that brings Chart.
const { Chart } = window;
Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
const charts = [...document.querySelectorAll("[data-bars]")].map(draw);

function colours() {
  const style = getComputedStyle(document.body);
  const read = (name) => style.getPropertyValue(name).trim();
  return { ink: read("--chart-ink"), line: read("--chart-line"), accent: read("--chart-accent") };
}

function draw(canvas) {
  const { labels, values, label } = JSON.parse(document.getElementById(canvas.dataset.bars).textContent);
  const chart = new Chart(canvas, {
    type: "bar",
    data: { labels, datasets: [{ label, data: values, borderRadius: 4, maxBarThickness: 40 }] },
    options: {
      animation: false,
      maintainAspectRatio: false,
      plugins: { legend: { display: false } },
      scales: { x: { grid: { display: false } }, y: { beginAtZero: true, title: { display: true, text: label } } },
    },
  });
  paint(chart);
  return chart;
}

function paint(chart) {
  const { ink, line, accent } = colours();
  const { x, y } = chart.options.scales;
  chart.data.datasets[0].backgroundColor = accent;
  x.ticks = { color: ink, maxRotation: 0, autoSkipPadding: 8 };
  y.ticks = { color: ink };
  y.grid = { color: line };
  y.title.color = ink;
  chart.update();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach(paint));
