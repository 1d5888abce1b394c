"use strict";

const element = (id) => document.getElementById(id);

function showState(id, text, kind) {
  element(id).textContent = text;
  element(id).dataset.kind = kind;
}

async function showInfo() {
  try {
    const response = await fetch("/api/info");
    if (!response.ok) {
      throw new Error(`status ${response.status}`);
    }
    element("info").replaceChildren(...Object.entries(await response.json()).map(infoRow));
    showState("info-state", "Received", "good");
  } catch (error) {
    showState("info-state", "No response", "bad");
    element("info").textContent = `The request failed: ${error.message}.`;
  }
}

function infoRow([name, value]) {
  const row = document.createElement("div");
  const term = document.createElement("dt");
  const detail = document.createElement("dd");
  term.textContent = name[0].toUpperCase() + name.slice(1);
  detail.textContent = Array.isArray(value) ? value.join(":") : value || "none";
  row.append(term, detail);
  return row;
}

function openSocket() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(`${scheme}//${location.host}/ws/echo`, "echo.v1");
  socket.addEventListener("open", () => {
    showState("socket-state", "Connected", "good");
    element("socket-send").disabled = false;
    sendMessage(socket, "Hello from the browser");
  });
  socket.addEventListener("message", (event) => log("socket-log", event.data, "received"));
  socket.addEventListener("close", (event) => {
    showState("socket-state", `Closed (${event.code})`, "bad");
    element("socket-send").disabled = true;
  });
  element("socket-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (socket.readyState === WebSocket.OPEN) {
      sendMessage(socket, element("socket-text").value);
      element("socket-form").reset();
    }
  });
}

function sendMessage(socket, text) {
  socket.send(text);
  log("socket-log", text, "sent");
}

function log(id, text, direction) {
  const line = document.createElement("li");
  line.className = direction;
  line.textContent = text;
  element(id).append(line);
  element(id).scrollTop = element(id).scrollHeight;
}

function followEvents() {
  const total = element("events-progress").max;
  const stream = new EventSource(`/events?interval=1&count=${total}`);
  stream.addEventListener("message", (event) => {
    const { number, time } = JSON.parse(event.data);
    element("events-progress").value = number;
    log("events-log", `Event ${number}, sent at ${new Date(time).toLocaleTimeString()}`, "received");
    showState("events-state", number < total ? "Receiving" : "Complete", "good");
    if (number >= total) {
      stream.close();
    }
  });
  stream.addEventListener("error", () => {
    stream.close();
    showState("events-state", "Broken off", "bad");
  });
}

showInfo();
openSocket();
followEvents();
