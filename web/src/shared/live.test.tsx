import { useQuery } from "@tanstack/react-query";
import { screen } from "@testing-library/react";
import { act } from "react";
import { beforeEach, expect, test, vi } from "vitest";
import { pass } from "../test/act";
import { Events } from "../test/dom";
import { show } from "../test/show";
import { useLive } from "./live";

const load = vi.fn();

function Page() {
  useLive();
  const { data } = useQuery({ queryKey: ["things"], queryFn: load, refetchInterval: false });
  return <p>{data}</p>;
}

beforeEach(() => {
  let asked = 0;
  load.mockReset().mockImplementation(async () => `answer ${(asked += 1)}`);
});

async function begin() {
  const drawn = show(<Page />);
  await screen.findByText("answer 1");
  return { ...drawn, events: Events.all[0] as Events };
}

function hide(hidden: boolean): void {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  act(() => void document.dispatchEvent(new Event("visibilitychange")));
}

test("what is shown is asked for again when the server says that something changed", async () => {
  const { events } = await begin();
  expect(events.url).toBe("/api/v1/events");
  events.say("changed");
  expect(await screen.findByText("answer 2")).toBeVisible();
});

test("the first greeting changes nothing; one after a break may have missed something", async () => {
  const { events } = await begin();
  events.say("hello");
  await pass(100);
  expect(load).toHaveBeenCalledTimes(1);
  events.break(false);
  events.say("hello");
  expect(await screen.findByText("answer 2")).toBeVisible();
});

test("the browser opens a broken connection again, we one that was refused, after three seconds", async () => {
  const { events } = await begin();
  events.break(false);
  await pass(10_000);
  expect(Events.all).toHaveLength(1);
  events.break(true);
  await pass(2_999);
  expect(Events.all).toHaveLength(1);
  await pass(1);
  expect(Events.open()).toHaveLength(1);
  expect(Events.open()[0]).not.toBe(events);
});

test("a hidden tab lets go of its connection, and asks again when it is seen", async () => {
  const { events } = await begin();
  events.say("hello");
  hide(true);
  expect(Events.open()).toEqual([]);
  hide(false);
  expect(Events.open()).toHaveLength(1);
  Events.open()[0]?.say("hello");
  expect(await screen.findByText("answer 2")).toBeVisible();
});

test("a hidden tab does not open again what was refused", async () => {
  const { events } = await begin();
  events.break(true);
  hide(true);
  await pass(10_000);
  expect(Events.open()).toEqual([]);
  hide(false);
});

test("no connection is left behind", async () => {
  const { unmount, events } = await begin();
  events.break(true);
  unmount();
  await pass(10_000);
  expect(Events.open()).toEqual([]);
});
