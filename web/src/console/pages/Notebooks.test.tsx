import { screen, waitFor, within } from "@testing-library/react";
import { expect, test } from "vitest";
import { dialog, gone } from "../../test/act";
import { page, refuse, server } from "../../test/api";
import * as make from "../../test/make";
import { show } from "../../test/show";
import { Notebooks } from "./Notebooks";

const PATH = "/api/v1/notebooks";
const STOP = "/api/v1/notebooks/{notebook_id}/stop";
const START = "/api/v1/notebooks/{notebook_id}/start";
const ONE = "/api/v1/notebooks/{notebook_id}";

async function begin(over: Partial<ReturnType<typeof make.notebook>> = {}) {
  const notebook = make.notebook({ id: "wl_1", ...over });
  server.on("get", PATH, page([notebook]));
  server.on("get", "/api/v1/groups", page<never>([]));
  const { user } = show(<Notebooks />);
  await screen.findByRole("button", { name: notebook.name });
  const press = (name: string) => user.click(screen.getByRole("button", { name: new RegExp(`${name}$`) }));
  return { user, notebook, press };
}

test("a running one is stopped after a question, and the list is asked for again", async () => {
  const { user, notebook, press } = await begin();
  server.on("post", STOP, { ...notebook, state: "stopping" });
  await press("Stop");
  const question = await dialog();
  expect(question).toHaveTextContent("Stop first?");
  expect(question).toHaveTextContent("Files are kept");
  server.on("get", PATH, page([make.notebook({ id: "wl_1", state: "stopping" })]));
  await user.click(within(question).getByRole("button", { name: "Stop" }));
  expect(await screen.findByText("Stopping")).toBeVisible();
  expect(screen.getByRole("button", { name: "Stop" })).toBeDisabled();
  expect(server.calls("post", STOP)).toHaveLength(1);
});

test("Esc stops nothing", async () => {
  const { user, press } = await begin();
  await press("Stop");
  const question = await dialog();
  await waitFor(() => expect(within(question).getByRole("button", { name: "Cancel" })).toHaveFocus());
  await user.keyboard("{Escape}");
  await gone(question);
  expect(server.calls("post", STOP)).toEqual([]);
});

test("what a start is refused for is said with its cure, and the button works again", async () => {
  const { press } = await begin({ state: "stopped", replicas: [make.replica({ can_open: false })] });
  server.on(
    "post",
    START,
    refuse(402, { detail: "The wallet has 0 UNC.", cure: "Ask for 1 UNC.", title: "Too little" }),
  );
  await press("Start");
  expect(await screen.findByText("The wallet has 0 UNC.")).toBeVisible();
  expect(screen.getByText("Ask for 1 UNC.")).toBeVisible();
  await waitFor(() => expect(screen.getByRole("button", { name: "Start" })).not.toHaveClass("ant-btn-loading"));
  expect(screen.getByRole("button", { name: "Open" })).toBeDisabled();
});

test("a start is at the price that is shown, or at the new one if it is accepted", async () => {
  const { user, notebook, press } = await begin({ state: "stopped", price: "1.500000" });
  server.on("post", START, ({ body }) =>
    body?.expected_price === "2"
      ? { ...notebook, state: "pending" as const }
      : refuse(409, { code: "price_changed", field: "expected_price", expected_price: "1.5", price: "2" }),
  );
  await press("Start");
  const question = await dialog();
  expect(question).toHaveTextContent("It was shown at 1.5 UNC per hour and costs 2 UNC per hour now.");
  await user.click(within(question).getByRole("button", { name: "Start at the new price" }));
  await waitFor(() =>
    expect(server.calls("post", START).map(({ body }) => body?.expected_price)).toEqual(["1.500000", "2"]),
  );
});

test("a start is sent once, however often it is pressed", async () => {
  const { notebook, press } = await begin({ state: "stopped" });
  const release = server.hold("post", START);
  await press("Start");
  await waitFor(() => expect(screen.getByRole("button", { name: /Start/ })).toHaveClass("ant-btn-loading"));
  await press("Start");
  release({ ...notebook, state: "pending" });
  await waitFor(() => expect(server.calls("get", PATH).length).toBeGreaterThan(1));
  expect(server.calls("post", START)).toHaveLength(1);
});

test("deleting says that the files go too", async () => {
  const { user, press } = await begin();
  server.on("delete", ONE, undefined);
  await press("Delete");
  const question = await dialog();
  expect(question).toHaveTextContent("Its files are deleted too. This cannot be undone.");
  server.on("get", PATH, page<never>([]));
  await user.click(within(question).getByRole("button", { name: "Delete" }));
  expect(await screen.findByText(/No notebooks yet/)).toBeVisible();
});

test("why it waits, and why it failed, stand at its state", async () => {
  await begin({ state: "failed", reason: "The container ended with exit code 137: out of memory." });
  expect(screen.getByText("The container ended with exit code 137: out of memory.")).toBeVisible();
  expect(screen.getByText("Failed")).toBeVisible();
});
