import { screen, within } from "@testing-library/react";
import { expect, test, vi } from "vitest";
import { dialog } from "../../test/act";
import { refuse, server } from "../../test/api";
import * as make from "../../test/make";
import { everyRefusalIsSeen } from "../../test/refusals";
import { show } from "../../test/show";
import { StopDialog } from "./Work";

const PATH = "/api/v1/replicas/{replica_id}/stop";
const one = make.work({ replica_id: "rep_1" });
const other = make.work({ replica_id: "rep_2", owner_name: "tim" });

async function begin(...replicas: (typeof one)[]) {
  const close = vi.fn();
  const { user } = show(<StopDialog replicas={replicas} onClose={close} />);
  const window = within(await dialog());
  const stop = async (reason: string) => {
    if (reason) await user.type(window.getByLabelText(/^Reason/), reason);
    await user.click(window.getByRole("button", { name: "Stop" }));
  };
  return { user, window, close, stop };
}

test.each(["", "   "])("a reason is needed, since its owner reads it: %j is none", async (reason) => {
  const { window, stop } = await begin(one);
  await stop(reason);
  expect(await window.findByText("This is needed")).toBeVisible();
  expect(server.calls("post", PATH)).toEqual([]);
});

test("it names the owner, and stops with the reason", async () => {
  server.on("post", PATH, one as never);
  const { window, close, stop } = await begin(one);
  expect(window.getByText("Stop what rita runs?")).toBeVisible();
  await stop("the fan is loud");
  expect(await screen.findByText("It is being stopped")).toBeVisible();
  expect(close).toHaveBeenCalledOnce();
  expect(server.calls("post", PATH).map(({ path, body }) => [path.replica_id, body])).toEqual([
    ["rep_1", { reason: "the fan is loud" }],
  ]);
});

test("one that is refused stays open, with the reason as it was typed", async () => {
  server.on("post", PATH, refuse(409, { detail: "It has ended already." }));
  const { window, close, stop } = await begin(one);
  await stop("the fan is loud");
  expect(await window.findByText("It has ended already.")).toBeVisible();
  expect(window.getByLabelText(/^Reason/)).toHaveValue("the fan is loud");
  expect(close).not.toHaveBeenCalled();
});

test("of several, those that are refused do not keep the others", async () => {
  server.on("post", PATH, ({ path }) =>
    path.replica_id === "rep_1" ? refuse(409, { detail: "It has ended already." }) : (other as never),
  );
  const { window, close, stop } = await begin(one, other);
  expect(window.getByText("Stop 2 replicas?")).toBeVisible();
  await stop("maintenance");
  expect(await screen.findByText("It has ended already.")).toBeVisible();
  expect(await screen.findByText("It is being stopped")).toBeVisible();
  expect(close).toHaveBeenCalledOnce();
});

test("when all are refused, nothing is said to be stopped", async () => {
  server.on("post", PATH, refuse(409, { detail: "It has ended already." }));
  const { stop } = await begin(one, other);
  await stop("maintenance");
  expect(await screen.findByText("It has ended already.")).toBeVisible();
  expect(screen.queryByText("It is being stopped")).toBeNull();
});

test("every refusal is seen", async () => {
  const { user, window } = await begin(one);
  await user.type(window.getByLabelText(/^Reason/), "maintenance");
  await everyRefusalIsSeen(user, ["reason"], (refusal) => server.on("post", PATH, refusal), "Stop");
});
