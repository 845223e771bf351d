import { screen, waitFor, within } from "@testing-library/react";
import { beforeEach, expect, test } from "vitest";
import { choose, dialog, pass } from "../../test/act";
import { page, refuse, type Sent, server } from "../../test/api";
import * as make from "../../test/make";
import { everyRefusalIsSeen } from "../../test/refusals";
import { show } from "../../test/show";
import { CreateSpec } from "./SpecsCreate";

const PATH = "/api/v1/specs";
const PREVIEW = "/api/v1/specs/preview";

beforeEach(() => {
  server.on("get", "/api/v1/system-resources", page([make.systemResource(), make.systemResource({ name: "memory" })]));
  server.on("get", "/api/v1/custom-resources", page<never>([]));
  server.on("get", "/api/v1/pools", page([make.pool()]));
  server.on("post", PREVIEW, make.preview());
});

async function begin() {
  const { user } = show(<CreateSpec onClose={() => {}} />);
  const window = within(await dialog());
  const quantity = (row: number) => window.getByLabelText(`Quantity ${row}`);
  const write = async (field: HTMLElement, text: string) => {
    await user.clear(field);
    await user.type(field, text);
  };
  return { user, window, quantity, write, send: () => user.click(window.getByRole("button", { name: "OK" })) };
}

test("a name is proposed from the contents until one is written", async () => {
  const { user, window, quantity, write } = await begin();
  const name = window.getByLabelText("Name");
  await waitFor(() => expect(name).toHaveValue("0.5CPU-1GB"));
  await write(quantity(1), "2");
  await waitFor(() => expect(name).toHaveValue("2CPU-1GB"));
  await write(name, "big");
  await write(quantity(1), "3");
  await waitFor(() => expect(name).toHaveValue("big"));
  await user.clear(name);
  await waitFor(() => expect(name).toHaveValue("3CPU-1GB"));
});

test("where it fits is shown while it is typed, asked once one rests", async () => {
  server.on("post", PREVIEW, make.preview({ fit: { now: 2, at_best: 3, never: 1 } }));
  const { window, quantity, write } = await begin();
  expect(await window.findByText("at best 3")).toBeVisible();
  expect(window.getByText("never 1")).toBeVisible();
  const asked = server.calls("post", PREVIEW).length;
  await write(quantity(2), "128GB");
  await pass(399);
  expect(server.calls("post", PREVIEW)).toHaveLength(asked);
  await pass(1);
  await waitFor(() => expect(server.sent("post", PREVIEW)?.items[1]?.quantity).toBe("128GB"));
  expect(server.calls("post", PREVIEW)).toHaveLength(asked + 1);
});

test("what fits nowhere is warned of", async () => {
  server.on("post", PREVIEW, make.preview({ fit: { now: 0, at_best: 0, never: 4 }, detail: "node-1 has 2 CPU" }));
  const { window } = await begin();
  expect(await window.findByText("It fits on none of your nodes, not even an empty one.")).toBeVisible();
  expect(window.getByText("node-1 has 2 CPU")).toBeVisible();
});

test("what is refused while it is typed stands at its row, also behind a row that is not whole", async () => {
  const { user, window, quantity, write } = await begin();
  await user.clear(quantity(1));
  server.on("post", PREVIEW, refuse(422, { errors: [{ field: "items.0.quantity", detail: "Write such as 1GB." }] }));
  await write(quantity(2), "lots");
  expect(await window.findByText("Write such as 1GB.")).toBeVisible();
  expect(quantity(2)).toHaveAttribute("aria-invalid", "true");
  expect(server.sent("post", PREVIEW)).toEqual({ items: [{ resource: "memory", quantity: "lots" }] });
});

test("a price is needed, unless one is suggested", async () => {
  const { window, send } = await begin();
  await send();
  expect(await window.findByText("This is needed")).toBeVisible();
  expect(server.calls("post", PATH)).toEqual([]);
});

test("a suggested price is taken when none is written", async () => {
  server.on("post", PREVIEW, make.preview({ suggested_price: "0.750000" }));
  server.on("post", PATH, make.spec());
  const { window, send } = await begin();
  expect(await window.findByText("Left empty: the suggested 0.75 UNC")).toBeVisible();
  await send();
  await waitFor(() => expect(server.sent("post", PATH)).toMatchObject({ price: null, name: "0.5CPU-1GB" }));
});

test("rows are added and taken away; the last one stays", async () => {
  server.on("post", PATH, make.spec());
  const { user, window, send } = await begin();
  await user.click(window.getByRole("button", { name: "Add resource" }));
  await choose(user, await window.findByLabelText("Resource 3"), "Shared memory");
  await user.click(window.getByRole("button", { name: "Remove row 2" }));
  await user.type(window.getByLabelText("Price (UNC/hour)"), "1");
  await send();
  await waitFor(() =>
    expect(server.sent("post", PATH)?.items).toEqual([
      { resource: "cpu", quantity: "0.5" },
      { resource: "shared-memory", quantity: "1" },
    ]),
  );
});

test("that it can never fit is said at the contents, until they change", async () => {
  server.on("post", PATH, refuse(409, { field: "items", detail: "No node has 999GB.", code: "never_fits" }));
  const { user, window, quantity, send } = await begin();
  await user.type(window.getByLabelText("Price (UNC/hour)"), "1");
  await send();
  const words = await window.findByText("No node has 999GB.");
  expect(words).toBeVisible();
  expect(words.closest('[role="alert"]')).not.toBeNull();
  await user.type(quantity(2), "0");
  await waitFor(() => expect(screen.queryByText("No node has 999GB.")).toBeNull());
});

const FIELDS: Record<keyof Sent<typeof PATH, "post">, true> = {
  name: true,
  description: true,
  items: true,
  price: true,
  pool_ids: true,
};

test("every refusal is seen", async () => {
  const { user, window } = await begin();
  await user.type(window.getByLabelText("Price (UNC/hour)"), "1");
  const fields = [...Object.keys(FIELDS), "items.0", "items.1.quantity", "items.0.resource", "items.7.quantity"];
  await everyRefusalIsSeen(user, fields, (refusal) => server.on("post", PATH, refusal));
});
