import { within } from "@testing-library/react";
import { expect, test, vi } from "vitest";
import { dialog } from "../../test/act";
import { server } from "../../test/api";
import * as make from "../../test/make";
import { everyRefusalIsSeen } from "../../test/refusals";
import { show } from "../../test/show";
import { LabelsDialog } from "./NodeDetailLabels";

const PATH = "/api/v1/nodes/{node_id}";
const node = make.node({ own_labels: { rack: "4" } });

async function begin() {
  const close = vi.fn();
  const { user } = show(<LabelsDialog node={node} onClose={close} />);
  const window = within(await dialog());
  return { user, window, close, send: () => user.click(window.getByRole("button", { name: "OK" })) };
}

test("labels are added, trimmed and sent together", async () => {
  server.on("patch", PATH, { ...node, chips: [] } as never);
  const { user, window, close, send } = await begin();
  await user.click(window.getByRole("button", { name: "Add label" }));
  await user.type(await window.findByLabelText("Name of label 2"), " row ");
  await user.type(window.getByLabelText("Value of label 2"), " b ");
  await send();
  await vi.waitFor(() => expect(close).toHaveBeenCalled());
  expect(server.sent("patch", PATH)).toEqual({ own_labels: { rack: "4", row: "b" } });
});

test("a name that is there twice is refused before it is sent", async () => {
  const { user, window, send } = await begin();
  await user.click(window.getByRole("button", { name: "Add label" }));
  await user.type(await window.findByLabelText("Name of label 2"), "rack");
  await send();
  expect((await window.findAllByText("This name is there twice"))[0]).toBeVisible();
  expect(server.calls("patch", PATH)).toEqual([]);
});

test("every refusal is seen", async () => {
  const { user } = await begin();
  const fields = ["own_labels", "own_labels.rack", "labels", "labels.0.key", "name"];
  await everyRefusalIsSeen(user, fields, (refusal) => server.on("patch", PATH, refusal));
});
