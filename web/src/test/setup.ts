import "@testing-library/jest-dom/vitest";
import { format } from "node:util";
import { act, cleanup, configure } from "@testing-library/react";
import i18n from "i18next";
import { afterEach, beforeEach, expect, vi } from "vitest";
import { server } from "./api";
import { Events, widen } from "./dom";
import { NOW } from "./make";
import { queryClient } from "../shared/query";
import "../shared/i18n";

/*
 * No test waits on real time: the clock is a double. While a test waits for the page, `waitFor` moves the clock on, by
 * 50 ms a turn; between the turns what the page does without the clock (answers, promises) gets its turn too.
 */
const turn = () => new Promise((resolve) => setImmediate(resolve));
vi.stubGlobal("jest", { advanceTimersByTime: vi.advanceTimersByTime });
configure({
  asyncUtilTimeout: 5_000,
  defaultHidden: true,
  // antd's markup says little: the page's words say where one is.
  getElementError: (message) =>
    new Error(`${message?.split("\n")[0]}\nThe page says: ${document.body.textContent?.slice(0, 2_000)}`),
  unstable_advanceTimersWrapper: (move) =>
    act(async () => {
      await move();
      await turn();
    }) as never,
});

const complaints: string[] = [];
for (const level of ["error", "warn"] as const)
  console[level] = (...words: unknown[]) => void complaints.push(format(...words));

beforeEach(() => {
  vi.useFakeTimers({
    now: new Date(NOW),
    toFake: [
      "setTimeout",
      "clearTimeout",
      "setInterval",
      "clearInterval",
      "Date",
      "performance",
      "requestAnimationFrame",
      "cancelAnimationFrame",
    ],
  });
});

afterEach(async () => {
  cleanup();
  queryClient.clear();
  vi.clearAllTimers();
  vi.useRealTimers();
  await turn();
  document.body.replaceChildren();
  localStorage.clear();
  window.history.replaceState(null, "", "/");
  widen(1280);
  Events.all = [];
  await i18n.changeLanguage("en");
  expect(server.reset(), "asked, and nobody answers").toEqual([]);
  expect(complaints.splice(0), "what React, antd and the page complain of").toEqual([]);
});
