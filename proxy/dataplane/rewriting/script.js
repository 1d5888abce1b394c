(function (prefix, upstream, base) {
  "use strict";
  // Of an application that is shown under a path prefix: what its scripts ask for by an absolute path stays there.
  // It stands in pages of HTML and of XHTML alike, so it has neither ampersands nor what opens a tag.
  const mark = Symbol.for("zenzefi.rewriting");
  if (window[mark]) return;
  window[mark] = true;

  const here = location.protocol + "//" + location.host; // the origin of a sandboxed page is none

  const below = (path, root) => path === root || path.startsWith(root + "/");

  function under(value) {
    const text = value instanceof URL ? value.href : value;
    if (typeof text !== "string" || !/^[\0- ]*(?:[/\\]|(?:https?|wss?):)/i.test(text)) return value;
    let url;
    try {
      url = new URL(text, here);
    } catch (_error) {
      return value;
    }
    const origin = url.protocol.replace("ws", "http") + "//" + url.host;
    const own = origin === here;
    if (!own) if (origin !== upstream) return value;
    if (own) if (below(url.pathname, prefix)) return value;
    const inside = base ? below(url.pathname, base) : false;
    const rest = (inside ? url.pathname.slice(base.length) : url.pathname) + url.search + url.hash;
    const socket = url.protocol.startsWith("ws") ? here.replace("http", "ws") : here;
    const absolute = /^[\0- ]*(?:[a-z]+:|[/\\]{2})/i.test(text);
    return (absolute ? socket : "") + prefix + (rest.startsWith("/") ? rest : "/" + rest);
  }

  function srcset(value) {
    if (typeof value !== "string") return value;
    return value.replace(/([\s,]*)(\S*[^\s,])((?:,+(?=\s|$))|(?:\s[^,(]*(?:\([^)]*\)[^,(]*)*))?/g,
      (_all, gap, address, rest) => gap + under(address) + (rest || ""));
  }

  const words = (value) => typeof value === "string" ? value.replace(/\S+/g, under) : value;

  // Functions and constructors, by which of their arguments is an address.
  function wrap(owner, name, position, more) {
    const original = owner ? owner[name] : undefined;
    if (typeof original !== "function") return;
    const change = (args) => {
      if (args.length > position) args[position] = under(args[position]);
      if (more) more(args);
      return args;
    };
    const wrapped = new Proxy(original, {
      apply: (target, self, args) => Reflect.apply(target, self, change(args)),
      construct: (target, args, made) =>
        Reflect.construct(target, change(args), made === wrapped ? target : made),
    });
    Object.defineProperty(owner, name, { value: wrapped, writable: true, configurable: true });
    if (original.prototype) if (original.prototype.constructor === original) {
      Object.defineProperty(original.prototype, "constructor", { value: wrapped, writable: true, configurable: true });
    }
  }

  const scope = (args) => {
    const options = args[1];
    if (options) if (options.scope !== undefined) args[1] = Object.assign({}, options, { scope: under(options.scope) });
  };
  const prototype = (name) => window[name] ? window[name].prototype : undefined;
  for (const name of ["fetch", "Request", "WebSocket", "EventSource", "Worker", "SharedWorker", "Audio", "open"]) {
    wrap(window, name, 0);
  }
  wrap(prototype("XMLHttpRequest"), "open", 1);
  wrap(prototype("History"), "pushState", 2);
  wrap(prototype("History"), "replaceState", 2);
  wrap(prototype("Navigator"), "sendBeacon", 0);
  wrap(prototype("ServiceWorkerContainer"), "register", 0, scope);
  wrap(prototype("FontFace") ? window : undefined, "FontFace", 1, (args) => {
    if (typeof args[1] === "string") args[1] = args[1].replace(/(url\(\s*["']?)([^"')]+)/gi, (_all, begin, address) => begin + under(address));
  });

  // Properties and attributes.
  const properties = {
    src: ["HTMLScriptElement", "HTMLImageElement", "HTMLIFrameElement", "HTMLFrameElement", "HTMLEmbedElement",
      "HTMLMediaElement", "HTMLSourceElement", "HTMLTrackElement", "HTMLInputElement"],
    href: ["HTMLLinkElement", "HTMLAnchorElement", "HTMLAreaElement", "HTMLBaseElement"],
    action: ["HTMLFormElement"],
    formAction: ["HTMLButtonElement", "HTMLInputElement"],
    data: ["HTMLObjectElement"],
    poster: ["HTMLVideoElement"],
    srcset: ["HTMLImageElement", "HTMLSourceElement"],
    imageSrcset: ["HTMLLinkElement"],
    ping: ["HTMLAnchorElement", "HTMLAreaElement"],
  };
  const rewriterOf = (name) => /srcset$/i.test(name) ? srcset : name === "ping" ? words : under;
  for (const [property, elements] of Object.entries(properties)) {
    const rewrite = rewriterOf(property);
    for (const element of elements) {
      const owner = prototype(element);
      const known = owner ? Object.getOwnPropertyDescriptor(owner, property) : undefined;
      if (known) if (known.set) {
        Object.defineProperty(owner, property, Object.assign({}, known, {
          set(value) {
            known.set.call(this, rewrite(value));
          },
        }));
      }
    }
  }
  const attributes = new Set(["src", "href", "xlink:href", "action", "formaction", "poster", "background", "manifest",
    "srcset", "imagesrcset", "ping"]);
  const rewrites = (element, name) => attributes.has(name) ? true : name === "data" ? element.localName === "object" : false;
  for (const [method, position] of [["setAttribute", 0], ["setAttributeNS", 1]]) {
    const original = Element.prototype[method];
    Element.prototype[method] = function (...args) {
      const name = String(args[position]).toLowerCase();
      if (args.length > position + 1) if (rewrites(this, name)) args[position + 1] = rewriterOf(name)(args[position + 1]);
      return original.apply(this, args);
    };
  }

  // What is written as HTML is mended before anything of it is loaded: an image waits for the script that made it.
  const written = [...attributes].filter((name) => !name.includes(":")).map((name) => "[" + name + "]").join() + ",object[data]";
  function mend(root) {
    for (const element of root.querySelectorAll(written)) {
      for (const name of element.localName === "script" ? [] : element.getAttributeNames()) {
        const value = element.getAttribute(name);
        const better = rewrites(element, name) ? rewriterOf(name)(value) : value;
        if (better !== value) element.setAttribute(name, better);
      }
    }
    for (const template of root.querySelectorAll("template")) if (template.content) mend(template.content);
  }
  for (const name of ["Element", "ShadowRoot"]) {
    const owner = prototype(name);
    const known = owner ? Object.getOwnPropertyDescriptor(owner, "innerHTML") : undefined;
    if (known) Object.defineProperty(owner, "innerHTML", Object.assign({}, known, {
      set(value) {
        known.set.call(this, value);
        mend(this.localName === "template" ? this.content || this : this);
      },
    }));
  }

  // `location` cannot be wrapped: where the browser tells of a navigation before it begins, it goes on to the prefix.
  if (window.navigation) window.navigation.addEventListener("navigate", (event) => {
    const target = event.destination.url;
    const better = under(target);
    if (better === target) return;
    if (!event.cancelable) return;
    if (event.formData) return;
    if (event.downloadRequest !== null) return;
    if (event.navigationType === "traverse") return;
    event.preventDefault();
    const go = event.navigationType === "replace" ? "replace" : "assign";
    setTimeout(() => location[go](better));
  });
})
