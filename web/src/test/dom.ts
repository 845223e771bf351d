import { vi } from "vitest";

/** What happy-dom lacks and the pages need: a screen of some width, sizes, and events from the server. */

let width = 1280;

/** From now on the screen is so wide: 390 is a phone. */
export function widen(pixels: number): void {
  width = pixels;
  Object.defineProperty(window, "innerWidth", { value: pixels, configurable: true });
}

function matchMedia(media: string): MediaQueryList {
  const [, least] = /min-width:\s*([\d.]+)px/.exec(media) ?? [];
  const [, most] = /max-width:\s*([\d.]+)px/.exec(media) ?? [];
  const matches = Boolean(least || most) && width >= Number(least ?? 0) && width <= Number(most ?? Infinity);
  const listening = { addEventListener() {}, removeEventListener() {}, addListener() {}, removeListener() {} };
  return { matches, media, onchange: null, dispatchEvent: () => true, ...listening };
}

class NoResizes implements ResizeObserver {
  observe() {}
  unobserve() {}
  disconnect() {}
}

/** The stream of `/api/v1/events`; a test plays the server. */
export class Events extends EventTarget {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSED = 2;
  static all: Events[] = [];
  readyState = Events.OPEN;
  onerror: (() => void) | null = null;

  constructor(readonly url: string) {
    super();
    Events.all.push(this);
  }

  /** Those that are open now. */
  static open = () => Events.all.filter((one) => one.readyState !== Events.CLOSED);

  say(event: "hello" | "changed"): void {
    this.dispatchEvent(new MessageEvent(event));
  }

  /** The connection breaks. One that was refused is not opened again by the browser. */
  break(refused: boolean): void {
    this.readyState = refused ? Events.CLOSED : Events.CONNECTING;
    this.onerror?.();
  }

  close(): void {
    this.readyState = Events.CLOSED;
  }
}

vi.stubGlobal("matchMedia", matchMedia);
vi.stubGlobal("ResizeObserver", NoResizes);
vi.stubGlobal("EventSource", Events);
Element.prototype.scrollIntoView = () => {};

/*
 * The look costs seconds to make, and is left out: an element looks as its own `style` says. What antd hides by a class
 * stays hidden.
 */
const HIDDEN = ["form-item", "collapse-panel", "select-dropdown", "dropdown", "tooltip"]
  .map((part) => `.ant-${part}-hidden`)
  .join();

function look(element: Element): CSSStyleDeclaration {
  const { style } = element as HTMLElement;
  const display = element.matches(HIDDEN) ? "none" : style?.display || "block";
  const known: Record<string, string> = {
    display,
    visibility: style?.visibility || "visible",
    opacity: style?.opacity || "1",
  };
  const getPropertyValue = (name: string) => known[name] ?? style?.getPropertyValue(name) ?? "";
  return new Proxy(style ?? {}, {
    get: (_, name: string) =>
      name === "getPropertyValue" ? getPropertyValue : (known[name] ?? Reflect.get(style ?? {}, name)),
  });
}
window.getComputedStyle = look;
