import { screen, within } from "@testing-library/react";
import { expect, test } from "vitest";
import { dialog, gone } from "../../test/act";
import { page, server } from "../../test/api";
import * as make from "../../test/make";
import { everyRefusalIsSeen } from "../../test/refusals";
import { show } from "../../test/show";
import { EarningsHeld } from "./EarningsHeld";

const PATH = "/api/v1/earnings/held";
const DECISION = "/api/v1/earnings/held/{miner_id}";
const mina = make.held();

async function begin(button: string) {
  server.on("get", PATH, page([mina]));
  const { user } = show(<EarningsHeld />);
  await user.click(await screen.findByRole("button", { name: button }));
  const one = await dialog();
  return { user, one, send: () => user.click(within(one).getByRole("button", { name: button })) };
}

test("shows nothing where nothing is held", async () => {
  server.on("get", PATH, page<never>([]));
  const { container } = show(<EarningsHeld />);
  await expect.poll(() => server.calls("get", PATH)).toHaveLength(1);
  expect(container.querySelector("table")).toBeNull();
});

test.each([
  ["Release to the miner", "miner"],
  ["Return to those who paid", "payers"],
] as const)("%s: it asks for a reason and sends it", async (button, to) => {
  server.on("post", DECISION, { ...mina, amount: "0.000000" });
  const { user, one, send } = await begin(button);
  await send();
  expect(await within(one).findByText("This is needed")).toBeVisible();
  expect(server.calls("post", DECISION)).toEqual([]);
  await user.type(within(one).getByLabelText("Why"), "looked into it");
  await send();
  await gone(one);
  expect(server.calls("post", DECISION)[0]?.path).toEqual({ miner_id: "usr_mina" });
  expect(server.sent("post", DECISION)).toEqual({ to, reason: "looked into it" });
});

test("every refusal is seen", async () => {
  const { user, one } = await begin("Return to those who paid");
  await user.type(within(one).getByLabelText("Why"), "fraud");
  await everyRefusalIsSeen(
    user,
    ["reason", "to", "miner_id"],
    (refusal) => server.on("post", DECISION, refusal),
    "Return to those who paid",
  );
});
