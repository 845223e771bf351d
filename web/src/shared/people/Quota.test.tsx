import { screen, waitFor, within } from "@testing-library/react";
import { beforeEach, expect, test } from "vitest";
import { dialog, gone } from "../../test/act";
import { page, refuse, server } from "../../test/api";
import * as make from "../../test/make";
import { everyRefusalIsSeen } from "../../test/refusals";
import { show } from "../../test/show";
import { QuotaCard, type Subject } from "./Quota";

const PATH = "/api/v1/users/{user_id}/quota";
const subject: Subject = { kind: "user", id: "usr_1", name: "rita" };
const quota = make.quota({
  notebooks: 2,
  resources: { cpu: "8" },
  used: { notebooks: 2, tasks: 0, resources: { cpu: "4" } },
});

beforeEach(() => {
  server.on("get", PATH, quota);
  server.on("get", "/api/v1/system-resources", page([make.systemResource(), make.systemResource({ name: "memory" })]));
});

async function begin() {
  const { user } = show(<QuotaCard subject={subject} canChange />);
  await user.click(await screen.findByRole("button", { name: "Edit quota" }));
  const window = within(await dialog());
  return { user, window, send: () => user.click(window.getByRole("button", { name: "OK" })) };
}

test("what is used up is said", async () => {
  show(<QuotaCard subject={subject} canChange={false} />);
  expect(await screen.findByText("2 of 2 · used up")).toBeVisible();
  expect(screen.getByText("4 of 8")).toBeVisible();
  expect(screen.queryByRole("button")).toBeNull();
});

test("a limit is taken away, and a resource added", async () => {
  server.on("put", PATH, quota);
  const { user, window, send } = await begin();
  await user.clear(window.getByLabelText("Notebooks"));
  await user.click(window.getByRole("button", { name: "Add a resource" }));
  await user.type((await window.findAllByLabelText("Resource"))[1] as HTMLElement, "memory");
  await user.type(window.getAllByLabelText("At most")[1] as HTMLElement, "32GB");
  const one = await dialog();
  await send();
  await gone(one);
  expect(server.sent("put", PATH)).toEqual({ notebooks: null, tasks: null, resources: { cpu: "8", memory: "32GB" } });
});

test("what is wrong with one resource stands at its row", async () => {
  server.on("put", PATH, refuse(422, { field: "resources.cpu", detail: "Not a quantity.", cure: "Write such as 8." }));
  const { window, send } = await begin();
  await send();
  expect(await window.findByText("Not a quantity. Write such as 8.")).toBeVisible();
  expect(window.getByLabelText("At most")).toHaveAttribute("aria-invalid", "true");
});

test("every refusal is seen", async () => {
  const { user } = await begin();
  const fields = ["notebooks", "tasks", "resources", "resources.cpu", "resources.gone"];
  await everyRefusalIsSeen(user, fields, (refusal) => server.on("put", PATH, refusal));
  await waitFor(() => expect(server.calls("put", PATH)).toHaveLength(fields.length + 1));
});
